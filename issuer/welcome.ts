/** The issuer's page in a browser. `here` is the address at which it was reached, which need not be what `iss` says. */
export function welcome({ here, issuer, audience }: { here: string; issuer: string; audience: string }): string {
  return `This is order-saga's token issuer for laptops: it stands in for your OpenID Connect provider.
It gives every role to whoever asks. Never run it where strangers can reach it.

A token:
  curl -s ${here}/token -d sub=cus_42 -d role=customer -d ttl=1h
  curl -s ${here}/token --json '{"sub":"ada","roles":["operator"]}'
  roles: customer, service, operator, auditor · alg: RS256 (default) or ES256

Signing in with a browser, as the console does (authorization code with PKCE): ${here}/authorize asks who you are.
It sends back to pages of this machine, and to what ISSUER_REDIRECT_URIS names.

What the service needs to accept it:
  AUTH_ISSUER=${issuer}
  AUTH_AUDIENCE=${audience}

For relying parties: ${issuer}/.well-known/openid-configuration
`;
}
