"""A report as one HTML file that needs no network: tables, figures, contact sheets, faces in 3-D."""
