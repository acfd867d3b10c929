"""From image bytes to a subject: detector, embedder and gallery."""
