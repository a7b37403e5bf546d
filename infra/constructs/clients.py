"""Who may call the APIs: programs with a client id and a secret, nobody with a password."""

from aws_cdk import Aws, Duration
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from infra.constructs.acknowledgement import acknowledge
from infra.constructs.foundation import Foundation, removal_policy

RESOURCE_SERVER = "onefold"
TOKEN_VALIDITY = Duration.hours(1)

# Scope → what it lets a program do; each route of the profile API asks for one.
SCOPES = {
    "profiles.read": "Read profiles",
    "identity.read": "See why identifiers are together, what was decided, and what other rules would change",
    "identity.decide": "Split, link and detach identities",
    "events.read": "Ask what became of a message",
    "quarantine.read": "List and read refused messages, which hold people's data",
    "quarantine.replay": "Repair refused messages and send them again",
}


class ApiClients(Construct):
    """A user pool without users: it issues tokens to clients for the scopes of the resource server."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation) -> None:
        super().__init__(scope, construct_id)
        # Clients are made again by a deployment and hold no person's data, so this flag is always turned.
        self._pool = cognito.UserPool(
            self,
            "Pool",
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(username=True),
            account_recovery=cognito.AccountRecovery.NONE,
            password_policy=cognito.PasswordPolicy(
                min_length=16,
                require_lowercase=True,
                require_uppercase=True,
                require_digits=True,
                require_symbols=True,
            ),
            removal_policy=removal_policy(foundation.environment, removable=True),
        )
        scopes = [
            cognito.ResourceServerScope(scope_name=name, scope_description=description)
            for name, description in SCOPES.items()
        ]
        server = self._pool.add_resource_server(
            "Server", identifier=RESOURCE_SERVER, user_pool_resource_server_name="onefold", scopes=scopes
        )
        self._client = self._pool.add_client(
            "Client",
            generate_secret=True,
            access_token_validity=TOKEN_VALIDITY,
            auth_flows=cognito.AuthFlow(),
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(client_credentials=True),
                scopes=[cognito.OAuthScope.resource_server(server, scope) for scope in scopes],
            ),
            prevent_user_existence_errors=True,
            enable_token_revocation=True,
        )
        # The account makes the prefix unique; it has to be so among all of AWS in a region.
        self._domain = self._pool.add_domain(
            "Domain",
            cognito_domain=cognito.CognitoDomainOptions(
                domain_prefix=f"onefold-{foundation.environment.name}-{Aws.ACCOUNT_ID}"
            ),
        )
        self._acknowledge_rules()

    @property
    def user_pool_id(self) -> str:
        return self._pool.user_pool_id

    @property
    def client_id(self) -> str:
        return self._client.user_pool_client_id

    @staticmethod
    def scope(name: str) -> str:
        """One of `SCOPES` as routes ask for it and tokens carry it.

        Raises:
            KeyError: It is none of them.
        """
        if name not in SCOPES:
            raise KeyError(name)
        return f"{RESOURCE_SERVER}/{name}"

    @property
    def token_url(self) -> str:
        """Where a client exchanges its id and secret for a token."""
        return f"{self._domain.base_url()}/oauth2/token"

    def _acknowledge_rules(self) -> None:
        acknowledge(self._pool, "AwsSolutions-COG2", "The pool has no users who could hold a second factor.")
        acknowledge(self._pool, "AwsSolutions-COG8", "The plus plan watches users' sign-ins, and there are none.")
