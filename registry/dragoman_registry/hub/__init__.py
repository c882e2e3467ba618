"""An embedded Hub: a server that the stock ``huggingface_hub`` client works against by ``HF_ENDPOINT`` alone.

Nothing here is imported unless ``dragoman hub`` runs, or a test asks for :func:`dragoman_registry.hub.serving.running`.
"""
