"""The layers of a stack's functions."""

from pathlib import Path

from aws_cdk import IgnoreMode
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.bundling import NOT_SHIPPED, build_layer, geography_folder, package_folder, placeholder_layer
from infra.constructs.foundation import Foundation
from infra.constructs.function import ARCHITECTURE, RUNTIME


class Layers(Construct):
    """Each stack has its own: a layer's ARN changes with its content, and an ARN that another stack imports cannot.

    Attributes:
        standard: What every function stands on: the package `onefold`, and its dependencies, which change seldom.
    """

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation) -> None:
        super().__init__(scope, construct_id)
        self._bundle = foundation.bundle
        self.standard = [
            self._layer("Onefold", "The package onefold", package_folder()),
            self._layer("Dependencies", "Third-party packages of every function", self._third_party("dependencies")),
        ]

    def with_columnar(self) -> list[lambda_.LayerVersion]:
        """Return the standard layers and pyarrow, for functions that write Parquet; it is too big for the hot path."""
        return [*self.standard, self._layer("Columnar", "pyarrow, trimmed", self._third_party("columnar"))]

    def with_signatures(self) -> list[lambda_.LayerVersion]:
        """Return the standard layers and cryptography, for the function that checks signatures made with key pairs."""
        third_party = self._third_party("signatures")
        return [*self.standard, self._layer("Signatures", "cryptography, for signatures with key pairs", third_party)]

    def with_geography(self) -> list[lambda_.LayerVersion]:
        """Return the standard layers and, where the deployer has brought a MaxMind database, that one."""
        folder = geography_folder()
        if folder is None:
            return self.standard
        return [*self.standard, self._layer("Geography", "Places of addresses, as the deployer brought them", folder)]

    def _third_party(self, layer: str) -> Path:
        return build_layer(layer) if self._bundle else placeholder_layer(layer)

    def _layer(self, construct_id: str, description: str, folder: Path) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self,
            construct_id,
            description=description,
            code=lambda_.Code.from_asset(str(folder), exclude=NOT_SHIPPED, ignore_mode=IgnoreMode.GLOB),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[ARCHITECTURE],
        )
