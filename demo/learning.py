"""How the demo's networks learn: from warped digits, and below the top from the top's answers. Needs TensorFlow."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow import keras

from demo.digits import Digits
from demo.networks import SEED, Recipe, build
from demo.warping import Floats, Images, Warp, warped

COPIES = 10
"""Warped copies of each training digit, besides the digit itself; passes go through them in turn."""
SOFTNESS = 3.0
"""The temperature at which answers are learnt: above 1, what is second and third likely counts too."""
_AT_ONCE = 1_000

Teacher = Callable[[Images], Floats]
"""Gives logits [n, 10] of images uint8 [n, 28, 28, 1]."""


def scaled(images: Images, side: int) -> Floats:
    """The images as a version's manifest makes them: [n, side, side, 1], 0..1."""
    parts = [images[at : at + _AT_ONCE].astype(np.float32) / np.float32(255) for at in range(0, len(images), _AT_ONCE)]
    if side != images.shape[1]:
        parts = [np.asarray(tf.image.resize(part, [side, side], method="area")) for part in parts]
    return np.concatenate(parts)


class Lessons:
    """Copies of the training digits, made once, and what the teacher says of them."""

    def __init__(self, digits: Digits) -> None:
        self._digits = digits
        self._images: dict[int, Images] = {}
        self._answers: dict[int, Floats] = {}

    def images(self, number: int) -> Images:
        """Copy `number`; 0 are the digits themselves."""
        if number not in self._images:
            original = self._digits.images
            self._images[number] = warped(original, Warp(), SEED + number) if number else original
        return self._images[number]

    def labels(self) -> Floats:
        """The truth as logits that are certain."""
        certain: Floats = np.log(np.eye(10, dtype=np.float32) + np.float32(1e-6))
        return certain[self._digits.labels]

    def answers(self, number: int, teacher: Teacher) -> Floats:
        """The teacher's logits for copy `number`."""
        if number not in self._answers:
            self._answers[number] = teacher(self.images(number))
        return self._answers[number]


def train(recipe: Recipe, lessons: Lessons, teacher: Teacher | None) -> keras.Model:
    """Trains with Adam and a cosine schedule, on labels without a teacher; shows the loss of each pass."""
    keras.utils.set_random_seed(SEED)
    model = build(recipe)
    student = keras.Model(model.input, model.outputs[2])
    steps = recipe.passes * -(-len(lessons.labels()) // recipe.batch)
    softness = 1.0 if teacher is None else SOFTNESS
    student.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.rate, steps)), soft(softness))
    for number in range(recipe.passes):
        copy = number % (COPIES + 1)
        images = scaled(lessons.images(copy), recipe.side)
        wanted = lessons.labels() if teacher is None else lessons.answers(copy, teacher)
        seen = student.fit(images, wanted, batch_size=recipe.batch, verbose=0)
        print(f"{recipe.tier}: pass {number + 1} of {recipe.passes}, loss {seen.history['loss'][0]:.4f}", flush=True)
    return model


def soft(softness: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The loss of logits against wanted logits: cross entropy of both divided by the softness (Hinton et al. 2015)."""

    def loss(wanted: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
        target = tf.nn.softmax(wanted / softness)
        return softness**2 * tf.nn.softmax_cross_entropy_with_logits(target, given / softness)

    return loss
