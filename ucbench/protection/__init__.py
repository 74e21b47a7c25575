"""Protecting a folder of photos: patterns crafted at one working size, fitted to photos of any size."""
