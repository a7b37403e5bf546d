"""ECDSA signatures, for the one provider that signs with a key pair; its library is loaded when such a one comes."""


def verify_p256(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    """Whether the holder of a P-256 key signed this, with SHA-256.

    Args:
        public_key: SubjectPublicKeyInfo, DER.
        signature: DER.
        signed: What was signed.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm):
        return False
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        return False
    try:
        key.verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
