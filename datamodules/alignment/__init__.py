"""Photographs and footage to aligned faces and their features, each computed once. A library."""
