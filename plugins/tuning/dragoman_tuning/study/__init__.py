"""The study behind docs/tuning.md: three tasks on Fashion-MNIST, by several objectives, with several seeds."""
