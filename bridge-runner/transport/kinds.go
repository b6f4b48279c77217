// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

// Kind identifies a failure. Its value describes the failure for developers. The comments name the
// facts of an [Error] that a kind has besides Proxy and Server.
type Kind string

// Failures of the TCP connection to the server.
const (
	NameNotResolved   Kind = "name not resolved" // Host, Detail
	ConnectTimeout    Kind = "connect timeout"
	ConnectionRefused Kind = "connection refused"
	ConnectionReset   Kind = "connection reset"
	HostUnreachable   Kind = "host unreachable" // Detail
)

// Failures at the proxy.
const (
	ProxySchemeUnknown     Kind = "proxy: unknown scheme"    // Detail: the scheme
	ProxyNameNotResolved   Kind = "proxy: name not resolved" // Detail
	ProxyConnectTimeout    Kind = "proxy: connect timeout"
	ProxyRefused           Kind = "proxy: connection refused"
	ProxyUnreachable       Kind = "proxy: unreachable" // Detail
	ProxySilent            Kind = "proxy: no answer"
	ProxyClosed            Kind = "proxy: closed instead of answering"
	ProxyConnectionFailed  Kind = "proxy: connection failed" // Detail
	ProxyOtherProtocol     Kind = "proxy: other protocol"    // Detail: the expected protocol
	ProxyExpectsTLS        Kind = "proxy: expects TLS"
	ProxyHeadTooLong       Kind = "proxy: header too long" // Detail
	ProxyLoginRequired     Kind = "proxy: login required"
	ProxyLoginRefused      Kind = "proxy: login refused"
	ProxyLoginUnsupported  Kind = "proxy: login by an unsupported scheme" // Detail: the scheme
	ProxyForbids           Kind = "proxy: connection forbidden"
	ProxyForbidsConnect    Kind = "proxy: CONNECT forbidden" // Code: HTTP status
	ProxyServerRefused     Kind = "proxy: the server refuses"
	ProxyServerUnreachable Kind = "proxy: the server is unreachable" // Detail
	ProxyServerFailed      Kind = "proxy: cannot connect to the server"
	ProxyServerFailedHTTP  Kind = "proxy: cannot connect to the server (HTTP)" // Code: HTTP status
	ProxyRefusesConnect    Kind = "proxy: refuses CONNECT"                     // Code: HTTP status
	ProxyOtherReply        Kind = "proxy: does not connect to the server"      // Detail
)

// Failures of the TLS handshake, except those by the server's certificate and by an alert.
const (
	TLSTimeout  Kind = "TLS: timeout"
	TLSClosed   Kind = "TLS: closed during the handshake"
	TLSVersion  Kind = "TLS: no common version"
	TLSFailed   Kind = "TLS: failed" // Detail
	SpeaksHTTP  Kind = "TLS: the server speaks HTTP"
	SpeaksMQTT  Kind = "TLS: the server speaks MQTT"
	SpeaksOther Kind = "TLS: the server speaks another protocol"
)

// Reasons why the server's certificate is not accepted.
const (
	CertificateSelfSigned      Kind = "certificate: self-signed"                // Name: the issuer
	CertificateIssuerNoCA      Kind = "certificate: issuer is not an authority" // Name: the issuer
	CertificateNotInSystem     Kind = "certificate: unknown to the system"      // Name: the issuer
	CertificateOtherKey        Kind = "certificate: authority has another key"  // Name: the issuer
	CertificateUnknown         Kind = "certificate: unknown authority"          // Name: the issuer
	CertificateOnlyCommonName  Kind = "certificate: only a common name"         // Host, Name: the common name
	CertificateNoNames         Kind = "certificate: no names of hosts"          // Host
	CertificateOtherAddress    Kind = "certificate: other address"              // Host, Names
	CertificateOtherName       Kind = "certificate: other name"                 // Host, Names
	CertificateNotYetValid     Kind = "certificate: not yet valid"              // Name: the authority, or empty; At
	CertificateExpired         Kind = "certificate: expired"                    // Name: the authority, or empty; At
	CertificateNotForServers   Kind = "certificate: not for servers"            // Name: the authority, or empty
	CertificateChainTooLong    Kind = "certificate: chain too long"
	CertificateNameConstraints Kind = "certificate: constraints of an authority"
	CertificateNotAccepted     Kind = "certificate: not accepted" // Detail
	NoSystemAuthorities        Kind = "certificate: no system authorities"
)

// Reasons why the server refuses the handshake by an alert. Detail is the alert.
const (
	AlertProtocol             Kind = "alert: protocol"
	AlertServerName           Kind = "alert: server name"
	AlertVersion              Kind = "alert: version"
	AlertNothingInCommon      Kind = "alert: nothing in common"
	AlertCertificateRequired  Kind = "alert: client certificate required"
	AlertOtherAuthority       Kind = "alert: other authority wanted"           // Name: the issuer, or empty
	AlertIssuerNotTrusted     Kind = "alert: issuer not trusted"               // Name: the issuer, or empty
	AlertCertificateExpiredAt Kind = "alert: client certificate expired"       // At
	AlertCertificateTooEarly  Kind = "alert: client certificate not yet valid" // At
	AlertCertificateUsage     Kind = "alert: client certificate is not for clients"
	AlertCertificateExpired   Kind = "alert: client certificate expired by the server's clock"
	AlertCertificateRevoked   Kind = "alert: client certificate revoked"
	AlertCertificate          Kind = "alert: client certificate"
	AlertOther                Kind = "alert: other"
)

// Failures of the upgrade to WebSocket, and of the WebSocket connection. Code is the HTTP status, or
// the code of the close frame.
const (
	UpgradeInvalid         Kind = "upgrade: invalid response"
	UpgradeSilent          Kind = "upgrade: no response"
	UpgradeClosed          Kind = "upgrade: closed instead of answering"
	UpgradeIsTLS           Kind = "upgrade: the server uses TLS"
	UpgradeNotHTTP         Kind = "upgrade: the server does not speak HTTP"
	UpgradeHeadTooLong     Kind = "upgrade: header too long" // Detail
	UpgradeFailed          Kind = "upgrade: failed"
	UpgradeNoSubprotocol   Kind = "upgrade: subprotocol not selected"
	UpgradeLoginRefused    Kind = "upgrade: credentials refused"     // Code
	UpgradeLoginRequired   Kind = "upgrade: login required"          // Code
	UpgradeRedirected      Kind = "upgrade: redirected"              // Code; Detail: the target, or empty
	UpgradeServerError     Kind = "upgrade: server error"            // Code
	UpgradeBadRequestPlain Kind = "upgrade: bad request without TLS" // Code
	UpgradeByWebServer     Kind = "upgrade: answer of a web server"  // Code
	UpgradeWithoutPath     Kind = "upgrade: refused without a path"  // Code
	UpgradeRefused         Kind = "upgrade: refused"                 // Code
	WebSocketTextFrame     Kind = "WebSocket: text frame"
	WebSocketInvalid       Kind = "WebSocket: invalid data" // Detail
	WebSocketClosed        Kind = "WebSocket: closed"       // Code
)
