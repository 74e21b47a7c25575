"""Training and crafting loops as the field's scripts write them: the side that ucbench is compared with.

They know nothing of ucbench: a network, pictures and labels come in, numbers go out. Pictures pass through a DataLoader
as PIL images, arithmetic is float32 in the contiguous layout, `.item()` is called at every step, weights keep their
gradients while images are perturbed. Nothing is slowed down on purpose.
"""
