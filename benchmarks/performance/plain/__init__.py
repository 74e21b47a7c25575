"""Training and crafting loops as the field's scripts write them: the side that ucbench is compared with.

They do not use ucbench: they take a network, images and labels, and return numbers. Images pass through a DataLoader as
PIL images, precision is float32 in the contiguous layout, `.item()` is called at every step, and weights keep their
gradients while images are perturbed. Nothing is slowed down on purpose.
"""
