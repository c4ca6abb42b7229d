//! Who may connect and what they may do. What is not served yet is refused, never ignored.

use super::why::{ACL, CLASS, NO_ACL, NO_SASL, NO_TLS, PEERS, SASL, TLS};

settings! { SECURITY
    "authorizer.class.name": Text = Some(""), Any, ReadOnly, Refused(ACL);
        "Class that decides who may do what."
    "super.users": Text = Some(""), Any, ReadOnly, Accepted(NO_ACL);
        "Who may do everything, as `User:NAME;User:NAME`. Read by Kafka's authorizer."
    "allow.everyone.if.no.acl.found": Boolean = Some("false"), Any, ReadOnly, Accepted(NO_ACL);
        "Whether what no rule speaks of is allowed. Read by Kafka's authorizer."
    "principal.builder.class": Class = Some("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"), Any, PerBroker, Refused(CLASS);
        "Class that names the person behind a connection."
    "security.providers": Text = None, Any, ReadOnly, Refused(CLASS);
        "Classes with further algorithms."
    "connections.max.reauth.ms": Long = Some("0"), Any, ReadOnly, Refused(SASL);
        "How long an authentication lasts; 0 is for ever."
    "connection.failed.authentication.delay.ms": Int = Some("100"), AtLeast(0), ReadOnly, Accepted(NO_SASL);
        "How long the answer to a failed authentication is held back."
    "delegation.token.secret.key": Password = None, Any, ReadOnly, Refused(SASL);
        "Secret that signs delegation tokens; without one there are no tokens."
    "delegation.token.expiry.check.interval.ms": Long = Some("3600000"), AtLeast(1), ReadOnly, Accepted(NO_SASL);
        "How often expired tokens are looked for."
    "delegation.token.expiry.time.ms": Long = Some("86400000"), AtLeast(1), ReadOnly, Accepted(NO_SASL);
        "Life of a token that is not renewed."
    "delegation.token.max.lifetime.ms": Long = Some("604800000"), AtLeast(1), ReadOnly, Accepted(NO_SASL);
        "Longest life of a token."
    "sasl.enabled.mechanisms": List = Some("GSSAPI"), Any, PerBroker, Refused(SASL);
        "Mechanisms by which clients may authenticate."
    "sasl.jaas.config": Password = None, Any, PerBroker, Refused(SASL);
        "Login module and its options."
    "sasl.mechanism.controller.protocol": Text = Some("GSSAPI"), Any, ReadOnly, Accepted(PEERS);
        "Mechanism among controllers."
    "sasl.mechanism.inter.broker.protocol": Text = Some("GSSAPI"), Any, PerBroker, Accepted(PEERS);
        "Mechanism among brokers."
    "sasl.client.callback.handler.class": Class = None, Any, ReadOnly, Accepted(PEERS);
        "Class that answers for a client."
    "sasl.login.callback.handler.class": Class = None, Any, ReadOnly, Accepted(PEERS);
        "Class that logs in."
    "sasl.login.class": Class = None, Any, ReadOnly, Accepted(PEERS);
        "Class that keeps a login."
    "sasl.login.connect.timeout.ms": Int = None, Any, ReadOnly, Accepted(PEERS);
        "How long connecting to the identity provider may take."
    "sasl.login.read.timeout.ms": Int = None, Any, ReadOnly, Accepted(PEERS);
        "How long an answer of the identity provider may take."
    "sasl.login.refresh.buffer.seconds": Short = Some("300"), Any, PerBroker, Accepted(PEERS);
        "Time before a login's end at which it is renewed at the latest."
    "sasl.login.refresh.min.period.seconds": Short = Some("60"), Any, PerBroker, Accepted(PEERS);
        "Least time between two renewals."
    "sasl.login.refresh.window.factor": Double = Some("0.8"), Any, PerBroker, Accepted(PEERS);
        "Share of a login's life after which it is renewed."
    "sasl.login.refresh.window.jitter": Double = Some("0.05"), Any, PerBroker, Accepted(PEERS);
        "Randomness of that share."
    "sasl.login.retry.backoff.ms": Long = Some("100"), Any, ReadOnly, Accepted(PEERS);
        "First pause between two attempts to log in."
    "sasl.login.retry.backoff.max.ms": Long = Some("10000"), Any, ReadOnly, Accepted(PEERS);
        "Longest pause between two attempts to log in."
    "sasl.server.callback.handler.class": Class = None, Any, ReadOnly, Refused(SASL);
        "Class that checks what clients present."
    "sasl.server.max.receive.size": Int = Some("524288"), Any, ReadOnly, Accepted(NO_SASL);
        "Largest message of an authentication."
    "sasl.kerberos.kinit.cmd": Text = Some("/usr/bin/kinit"), Any, PerBroker, Accepted(NO_SASL);
        "Path of `kinit`."
    "sasl.kerberos.min.time.before.relogin": Long = Some("60000"), Any, PerBroker, Accepted(NO_SASL);
        "Least time between two logins, in milliseconds."
    "sasl.kerberos.principal.to.local.rules": List = Some("DEFAULT"), Any, PerBroker, Accepted(NO_SASL);
        "Rules that shorten principals to names."
    "sasl.kerberos.service.name": Text = None, Any, PerBroker, Accepted(NO_SASL);
        "Name of the service in Kerberos."
    "sasl.kerberos.ticket.renew.jitter": Double = Some("0.05"), Any, PerBroker, Accepted(NO_SASL);
        "Randomness of ticket renewal."
    "sasl.kerberos.ticket.renew.window.factor": Double = Some("0.8"), Any, PerBroker, Accepted(NO_SASL);
        "Share of a ticket's life after which it is renewed."
    "sasl.oauthbearer.allow.unverified.audience": Boolean = Some("false"), Any, ReadOnly, Accepted(NO_SASL);
        "Whether tokens are taken where no audience is expected."
    "sasl.oauthbearer.allow.unverified.issuer": Boolean = Some("false"), Any, ReadOnly, Accepted(NO_SASL);
        "Whether tokens are taken where no issuer is expected."
    "sasl.oauthbearer.assertion.algorithm": Text = Some("RS256"), OneOfNoCase(&["ES256", "RS256"]), ReadOnly, Accepted(NO_SASL);
        "Algorithm that signs an assertion."
    "sasl.oauthbearer.assertion.claim.aud": Text = None, Any, ReadOnly, Accepted(NO_SASL);
        "Audience of an assertion."
    "sasl.oauthbearer.assertion.claim.exp.seconds": Int = Some("300"), Between(0, 86_400), ReadOnly, Accepted(NO_SASL);
        "Life of an assertion."
    "sasl.oauthbearer.assertion.claim.iss": Text = None, Any, ReadOnly, Accepted(NO_SASL);
        "Issuer of an assertion."
    "sasl.oauthbearer.assertion.claim.jti.include": Boolean = Some("false"), Any, ReadOnly, Accepted(NO_SASL);
        "Whether an assertion has an id."
    "sasl.oauthbearer.assertion.claim.nbf.seconds": Int = Some("60"), Between(0, 3600), ReadOnly, Accepted(NO_SASL);
        "How far back an assertion's validity starts."
    "sasl.oauthbearer.assertion.claim.sub": Text = None, Any, ReadOnly, Accepted(NO_SASL);
        "Subject of an assertion."
    "sasl.oauthbearer.assertion.file": Text = None, Any, ReadOnly, Accepted(NO_SASL);
        "File with a ready assertion."
    "sasl.oauthbearer.assertion.private.key.file": Text = None, Any, ReadOnly, Accepted(NO_SASL);
        "File with the key that signs assertions."
    "sasl.oauthbearer.assertion.private.key.passphrase": Password = None, Any, ReadOnly, Accepted(NO_SASL);
        "Passphrase of that key."
    "sasl.oauthbearer.assertion.template.file": Text = None, Any, ReadOnly, Accepted(NO_SASL);
        "File with a template for assertions."
    "sasl.oauthbearer.client.credentials.client.id": Text = None, Any, ReadOnly, Accepted(NO_SASL);
        "Client id for the identity provider."
    "sasl.oauthbearer.client.credentials.client.secret": Password = None, Any, ReadOnly, Accepted(NO_SASL);
        "Client secret for the identity provider."
    "sasl.oauthbearer.clock.skew.seconds": Int = Some("30"), Any, ReadOnly, Accepted(NO_SASL);
        "How far clocks may differ."
    "sasl.oauthbearer.expected.audience": List = Some(""), Any, ReadOnly, Accepted(NO_SASL);
        "Audiences of which a token must have one."
    "sasl.oauthbearer.expected.issuer": Text = None, Any, ReadOnly, Accepted(NO_SASL);
        "Issuer that a token must have."
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long = Some("3600000"), Any, ReadOnly, Accepted(NO_SASL);
        "How often the provider's keys are fetched."
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long = Some("100"), Any, ReadOnly, Accepted(NO_SASL);
        "First pause between two attempts to fetch keys."
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long = Some("10000"), Any, ReadOnly, Accepted(NO_SASL);
        "Longest pause between two attempts to fetch keys."
    "sasl.oauthbearer.jwks.endpoint.url": Text = None, Any, ReadOnly, Accepted(NO_SASL);
        "Where the provider's keys are."
    "sasl.oauthbearer.jwt.retriever.class": Class = Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"), Any, ReadOnly, Accepted(NO_SASL);
        "Class that gets a token."
    "sasl.oauthbearer.jwt.validator.class": Class = Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"), Any, ReadOnly, Accepted(NO_SASL);
        "Class that checks a token."
    "sasl.oauthbearer.scope": Text = None, Any, ReadOnly, Accepted(NO_SASL);
        "Scope that is asked for."
    "sasl.oauthbearer.scope.claim.name": Text = Some("scope"), Any, ReadOnly, Accepted(NO_SASL);
        "Claim that holds the scope."
    "sasl.oauthbearer.sub.claim.name": Text = Some("sub"), Any, ReadOnly, Accepted(NO_SASL);
        "Claim that holds the subject."
    "sasl.oauthbearer.token.endpoint.url": Text = None, Any, ReadOnly, Accepted(NO_SASL);
        "Where tokens are issued."
    "ssl.allow.dn.changes": Boolean = Some("false"), Any, ReadOnly, Accepted(NO_TLS);
        "Whether a new certificate may have another name."
    "ssl.allow.san.changes": Boolean = Some("false"), Any, ReadOnly, Accepted(NO_TLS);
        "Whether a new certificate may have other alternative names."
    "ssl.cipher.suites": List = Some(""), Any, PerBroker, Refused(TLS);
        "Cipher suites that are spoken."
    "ssl.client.auth": Text = Some("none"), OneOf(&["required", "requested", "none"]), PerBroker, Refused(TLS);
        "Whether clients must show a certificate."
    "ssl.enabled.protocols": List = Some("TLSv1.2,TLSv1.3"), Any, PerBroker, Accepted(NO_TLS);
        "Versions of TLS that are spoken."
    "ssl.endpoint.identification.algorithm": Text = Some("https"), Any, PerBroker, Accepted(NO_TLS);
        "How a server's name is checked."
    "ssl.engine.factory.class": Class = None, Any, PerBroker, Refused(CLASS);
        "Class that makes TLS engines."
    "ssl.key.password": Password = None, Any, PerBroker, Refused(TLS);
        "Password of the key."
    "ssl.keymanager.algorithm": Text = Some("SunX509"), Any, PerBroker, Accepted(NO_TLS);
        "Algorithm of the key manager."
    "ssl.keystore.certificate.chain": Password = None, Any, PerBroker, Refused(TLS);
        "Certificate chain as PEM."
    "ssl.keystore.key": Password = None, Any, PerBroker, Refused(TLS);
        "Key as PEM."
    "ssl.keystore.location": Text = None, Any, PerBroker, Refused(TLS);
        "File with key and certificates."
    "ssl.keystore.password": Password = None, Any, PerBroker, Refused(TLS);
        "Password of that file."
    "ssl.keystore.type": Text = Some("JKS"), Any, PerBroker, Accepted(NO_TLS);
        "Format of that file."
    "ssl.principal.mapping.rules": Text = Some("DEFAULT"), Any, ReadOnly, Accepted(NO_TLS);
        "Rules that shorten certificates' names."
    "ssl.protocol": Text = Some("TLSv1.3"), Any, PerBroker, Accepted(NO_TLS);
        "Version of TLS that is offered."
    "ssl.provider": Text = None, Any, PerBroker, Accepted(NO_TLS);
        "Provider of TLS."
    "ssl.secure.random.implementation": Text = None, Any, PerBroker, Accepted(NO_TLS);
        "Source of randomness."
    "ssl.trustmanager.algorithm": Text = Some("PKIX"), Any, PerBroker, Accepted(NO_TLS);
        "Algorithm of the trust manager."
    "ssl.truststore.certificates": Password = None, Any, PerBroker, Refused(TLS);
        "Trusted certificates as PEM."
    "ssl.truststore.location": Text = None, Any, PerBroker, Refused(TLS);
        "File with trusted certificates."
    "ssl.truststore.password": Password = None, Any, PerBroker, Refused(TLS);
        "Password of that file."
    "ssl.truststore.type": Text = Some("JKS"), Any, PerBroker, Accepted(NO_TLS);
        "Format of that file."
}
