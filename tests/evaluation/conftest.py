from tests.evaluation.recognition_miniatures import material

__all__ = ["material"]
