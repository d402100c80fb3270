// The real oidc-provider as an identity provider for the black-box tests. Reads its settings (JSON) from standard
// input: {port, clients, accounts: {subject: claims}, resources: [audience]}; says "ready" when it listens. Who signs
// in is named by the login_hint: the test's "browser" only follows redirects.
"use strict";

(async () => {
  const { default: Provider } = await import("oidc-provider");
  let text = "";
  for await (const piece of process.stdin) text += piece;
  const settings = JSON.parse(text);
  const issuer = `http://127.0.0.1:${settings.port}`;
  const provider = new Provider(issuer, {
    clients: settings.clients,
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
    conformIdTokenClaims: settings.conform ?? false,
    pkce: { required: () => true, methods: ["S256"] },
    cookies: { keys: ["only for tests"] },
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => settings.resources?.[0],
        useGrantedResource: () => !settings.userinfo,
        getResourceServerInfo: (_, resource) => ({ scope: "api", audience: resource, accessTokenFormat: "jwt", accessTokenTTL: 300 }),
      },
    },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, subject) => {
      const claims = settings.accounts[subject];
      return claims && { accountId: subject, claims: () => ({ sub: subject, ...claims }) };
    },
  });
  // Signs in whoever login_hint names, and grants everything.
  provider.use(async (context, next) => {
    if (!context.path.startsWith("/interaction/")) return next();
    const details = await provider.interactionDetails(context.req, context.res);
    const subject = details.session?.accountId ?? details.params.login_hint;
    const grant = new provider.Grant({ accountId: subject, clientId: details.params.client_id });
    grant.addOIDCScope(details.params.scope);
    for (const resource of settings.resources ?? []) grant.addResourceScope(resource, "api");
    const result = settings.accounts[subject]
      ? { login: { accountId: subject }, consent: { grantId: await grant.save() } }
      : { error: "access_denied" };
    await provider.interactionFinished(context.req, context.res, result);
  });
  provider.listen(settings.port, "127.0.0.1", () => console.log("ready"));
})().catch((fault) => {
  console.error(fault);
  process.exit(1);
});
