"""The 68 iBUG landmarks: files of them, their transfer, pose and expression from them."""
