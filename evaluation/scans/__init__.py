"""Reconstructions against face scans."""
