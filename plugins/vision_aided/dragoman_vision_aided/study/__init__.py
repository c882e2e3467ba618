"""The study: StyleGAN2 on 1,000 images, with and without critics. ``python -m dragoman_vision_aided.study --help``."""
