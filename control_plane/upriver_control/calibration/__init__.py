"""From what every tier answered on the same questions to policies with a proof: scores, cost path, certificate.

Pure: arrays in, a frozen outcome out. `calibrate.calibrate` is the whole; the other modules are its steps, named by the
mathematics. docs/certificates.md says what is promised.
"""
