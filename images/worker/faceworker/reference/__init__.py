"""The originals that the networks are made of and held against: facenet-pytorch and dlib, and their weights."""
