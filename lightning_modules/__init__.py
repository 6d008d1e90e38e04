"""The method: stages, network, losses; faces, rendering and recognition are its libraries."""
