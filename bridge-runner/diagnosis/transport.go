// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/internal/printable"
)

// Beginnings of texts that several rows have.
const (
	alert       = "TLS: the server refused the handshake ({detail}); "
	upgrade     = "the server refuses the WebSocket connection ({status}); "
	unknownCA   = "TLS: the server's certificate is signed by an unknown authority, {name}; "
	otherAnswer = "the server's response to the WebSocket upgrade is not valid: "
)

// transportTable explains the failures of package transport.
var transportTable = map[transport.Kind]row{
	transport.NameNotResolved:   {v1alpha1.ReasonNameNotResolved, `the host name {"host"} cannot be resolved ({detail}); check the URL's host, and the DNS of the pod or machine that connects`},
	transport.ConnectTimeout:    {v1alpha1.ReasonConnectTimeout, "no connection within {timeout}; check that the host is up, and that no firewall or network policy drops the packets"},
	transport.ConnectionRefused: {v1alpha1.ReasonConnectionRefused, "connection refused: no program listens on this port; check the URL's port, and that the server runs"},
	transport.ConnectionReset:   {v1alpha1.ReasonConnectionClosed, "the connection was reset before it was established; check the server, and the firewalls on the way to it"},
	transport.HostUnreachable:   {v1alpha1.ReasonHostUnreachable, "the host cannot be reached: {detail}; check routes and network policies"},

	transport.ProxySchemeUnknown:     {v1alpha1.ReasonProxyFailed, `proxy.url has the unsupported scheme {"detail"}; use socks5:// or http://`},
	transport.ProxyNameNotResolved:   {v1alpha1.ReasonProxyFailed, "the proxy {proxy} cannot be reached: its name cannot be resolved ({detail}); check proxy.url, and the DNS of the pod or machine that connects"},
	transport.ProxyConnectTimeout:    {v1alpha1.ReasonProxyFailed, "the proxy {proxy} cannot be reached: no connection within {timeout}; check proxy.url, and that no firewall or network policy drops the packets"},
	transport.ProxyRefused:           {v1alpha1.ReasonProxyFailed, "the proxy {proxy} cannot be reached: connection refused; check proxy.url, and that the proxy runs"},
	transport.ProxyUnreachable:       {v1alpha1.ReasonProxyFailed, "the proxy {proxy} cannot be reached: {detail}; check routes and network policies"},
	transport.ProxySilent:            {v1alpha1.ReasonConnectTimeout, "the proxy {proxy} does not connect to the server within {timeout}; check the scheme and port of proxy.url, and that the proxy can reach the URL's host and port"},
	transport.ProxyClosed:            {v1alpha1.ReasonProxyFailed, "the proxy {proxy} closed the connection instead of answering; check the scheme and port of proxy.url, and the proxy's log"},
	transport.ProxyConnectionFailed:  {v1alpha1.ReasonProxyFailed, "the connection to the proxy {proxy} fails: {detail}; see the proxy's log"},
	transport.ProxyOtherProtocol:     {v1alpha1.ReasonProxyFailed, "the proxy {proxy} does not speak {detail}; check the scheme and port of proxy.url"},
	transport.ProxyExpectsTLS:        {v1alpha1.ReasonProxyFailed, "the proxy {proxy} expects TLS on this port, which the bridge does not support; set proxy.url to a port of the proxy without TLS"},
	transport.ProxyHeadTooLong:       {v1alpha1.ReasonProxyFailed, "the response of the proxy {proxy} is not valid: {detail}; see the proxy's log"},
	transport.ProxyLoginRequired:     {v1alpha1.ReasonProxyFailed, "the proxy {proxy} requires a login; set proxy.credentials.username and proxy.credentials.password"},
	transport.ProxyLoginRefused:      {v1alpha1.ReasonProxyFailed, "the proxy {proxy} refuses the user name or password; check proxy.credentials"},
	transport.ProxyLoginUnsupported:  {v1alpha1.ReasonProxyFailed, "the proxy {proxy} requires a login by {detail}, and the bridge supports only Basic; allow Basic for this client, or allow the connection without a login"},
	transport.ProxyForbids:           {v1alpha1.ReasonProxyFailed, "the proxy {proxy} forbids the connection; allow {server} in the proxy's rules"},
	transport.ProxyForbidsConnect:    {v1alpha1.ReasonProxyFailed, "the proxy {proxy} forbids the connection ({status}); allow CONNECT to {server} in the proxy's rules"},
	transport.ProxyServerRefused:     {v1alpha1.ReasonConnectionRefused, "the proxy {proxy} cannot connect to the server: connection refused; check that the proxy can reach the URL's host and port"},
	transport.ProxyServerUnreachable: {v1alpha1.ReasonHostUnreachable, "the proxy {proxy} cannot connect to the server: {detail}; check that the proxy can reach the URL's host and port"},
	transport.ProxyServerFailed:      {v1alpha1.ReasonProxyFailed, "the proxy {proxy} cannot connect to the server (general SOCKS server failure); check that the proxy can reach the URL's host and port, and see the proxy's log"},
	transport.ProxyServerFailedHTTP:  {v1alpha1.ReasonProxyFailed, "the proxy {proxy} cannot connect to the server ({status}); check that the proxy can reach the URL's host and port, and see the proxy's log"},
	transport.ProxyRefusesConnect:    {v1alpha1.ReasonProxyFailed, "the proxy {proxy} refuses the connection ({status}); check that proxy.url names a proxy that allows CONNECT"},
	transport.ProxyOtherReply:        {v1alpha1.ReasonProxyFailed, "the proxy {proxy} does not connect to the server: {detail}; see the proxy's log"},

	transport.TLSTimeout:  {v1alpha1.ReasonConnectTimeout, "the server does not complete the TLS handshake within {timeout}; check that it expects TLS on this port"},
	transport.TLSClosed:   {v1alpha1.ReasonTLSFailed, "TLS: the server closed the connection during the handshake; check that it expects TLS on this port"},
	transport.TLSVersion:  {v1alpha1.ReasonTLSFailed, "TLS: the server supports neither TLS 1.2 nor TLS 1.3; enable one of them on the server"},
	transport.TLSFailed:   {v1alpha1.ReasonTLSFailed, "TLS: {detail}"},
	transport.SpeaksHTTP:  {v1alpha1.ReasonTLSFailed, "TLS: the server speaks HTTP without TLS on this port; use ws:// in the URL, or the port of the server's TLS listener"},
	transport.SpeaksMQTT:  {v1alpha1.ReasonTLSFailed, "TLS: the server speaks MQTT without TLS on this port; use mqtt:// in the URL, or the port of the server's TLS listener"},
	transport.SpeaksOther: {v1alpha1.ReasonTLSFailed, "TLS: the server does not speak TLS on this port; check the URL's scheme and port"},

	transport.CertificateSelfSigned:      {v1alpha1.ReasonTLSFailed, "TLS: the server's certificate is self-signed by {name}, an unknown authority; add this certificate to the object in tls.ca"},
	transport.CertificateIssuerNoCA:      {v1alpha1.ReasonTLSFailed, "TLS: the certificate {name} signed another certificate but is not an authority's; reissue it with the basic constraint CA:TRUE"},
	transport.CertificateNotInSystem:     {v1alpha1.ReasonTLSFailed, unknownCA + "name a ConfigMap, Secret or ClusterTrustBundle with the authority's certificate in tls.ca"},
	transport.CertificateOtherKey:        {v1alpha1.ReasonTLSFailed, unknownCA + "the certificate of this name in tls.ca has another key or is not an authority's; put the certificate that signed the server's certificate into tls.ca"},
	transport.CertificateUnknown:         {v1alpha1.ReasonTLSFailed, unknownCA + "add the authority's certificate to the object in tls.ca, or have the server send its intermediate certificates"},
	transport.CertificateOnlyCommonName:  {v1alpha1.ReasonTLSFailed, "TLS: the server's certificate has only a common name, {name}, and no subjectAltName, which is required; reissue it with the subjectAltName {subjectAltName}"},
	transport.CertificateNoNames:         {v1alpha1.ReasonTLSFailed, "TLS: the server's certificate contains no names of hosts; reissue it with the subjectAltName {subjectAltName}"},
	transport.CertificateOtherAddress:    {v1alpha1.ReasonTLSFailed, "TLS: the server's certificate is not valid for the IP address {host}; it is valid for {names}; use one of these names in the URL or in tls.serverName, or reissue it with the subjectAltName {subjectAltName}"},
	transport.CertificateOtherName:       {v1alpha1.ReasonTLSFailed, `TLS: the server's certificate is not valid for the name {"host"}; it is valid for {names}; set tls.serverName to one of these names`},
	transport.CertificateNotYetValid:     {v1alpha1.ReasonTLSFailed, "TLS: {certificate} is not yet valid: it is valid from {time}; check the clock of the runner's machine, or reissue the certificate"},
	transport.CertificateExpired:         {v1alpha1.ReasonTLSFailed, "TLS: {certificate} expired at {time}; renew it, or check the clock of the runner's machine"},
	transport.CertificateNotForServers:   {v1alpha1.ReasonTLSFailed, "TLS: {certificate} is not valid for servers; reissue it with the extended key usage serverAuth"},
	transport.CertificateChainTooLong:    {v1alpha1.ReasonTLSFailed, "TLS: the chain of the server's certificate is longer than an authority in it allows (path length constraint); use a shorter chain"},
	transport.CertificateNameConstraints: {v1alpha1.ReasonTLSFailed, "TLS: the name constraints or key usages of an authority do not permit the server's certificate; have another authority issue it"},
	transport.CertificateNotAccepted:     {v1alpha1.ReasonTLSFailed, "TLS: the server's certificate is not accepted: {detail}"},
	transport.NoSystemAuthorities:        {v1alpha1.ReasonTLSFailed, "TLS: the runner has no system certificate authorities; name a ConfigMap, Secret or ClusterTrustBundle with the authority's certificate in tls.ca"},

	transport.AlertProtocol:             {v1alpha1.ReasonTLSFailed, alert + "it supports none of the protocols in tls.alpn; set tls.alpn to a protocol that it supports"},
	transport.AlertServerName:           {v1alpha1.ReasonTLSFailed, alert + "set tls.serverName to a name that it serves"},
	transport.AlertVersion:              {v1alpha1.ReasonTLSFailed, alert + "enable TLS 1.2 or 1.3 on the server"},
	transport.AlertNothingInCommon:      {v1alpha1.ReasonTLSFailed, alert + "it and the bridge have no cipher suite, curve or signature algorithm in common; allow ECDHE with AES-GCM or ChaCha20-Poly1305 on the server"},
	transport.AlertCertificateRequired:  {v1alpha1.ReasonTLSFailed, alert + "it demands a client certificate; set tls.certificate and tls.key"},
	transport.AlertOtherAuthority:       {v1alpha1.ReasonTLSFailed, alert + "it does not accept client certificates of {authority} the client certificate in tls.certificate; use a certificate of an authority that the server accepts"},
	transport.AlertIssuerNotTrusted:     {v1alpha1.ReasonTLSFailed, alert + "it does not trust {issuer} the client certificate in tls.certificate; add that authority on the server, or the intermediate certificates to tls.certificate"},
	transport.AlertCertificateExpiredAt: {v1alpha1.ReasonTLSFailed, alert + "the client certificate in tls.certificate expired at {time}; renew it"},
	transport.AlertCertificateTooEarly:  {v1alpha1.ReasonTLSFailed, alert + "the client certificate in tls.certificate is not valid before {time}; use a valid certificate, or check the clock of the runner's machine"},
	transport.AlertCertificateUsage:     {v1alpha1.ReasonTLSFailed, alert + "the client certificate in tls.certificate is not valid for clients; reissue it with the extended key usage clientAuth"},
	transport.AlertCertificateExpired:   {v1alpha1.ReasonTLSFailed, alert + "the client certificate in tls.certificate has expired, or is not valid yet by the server's clock; renew it"},
	transport.AlertCertificateRevoked:   {v1alpha1.ReasonTLSFailed, alert + "the client certificate in tls.certificate is revoked; use another certificate"},
	transport.AlertCertificate:          {v1alpha1.ReasonTLSFailed, alert + "check the client certificate in tls.certificate"},
	transport.AlertOther:                {v1alpha1.ReasonTLSFailed, alert + "see the server's log"},

	transport.UpgradeInvalid:         {v1alpha1.ReasonWebSocketRefused, otherAnswer + "its WebSocket header fields are missing or wrong; check the URL's path, and the proxy in front of the server"},
	transport.UpgradeSilent:          {v1alpha1.ReasonConnectTimeout, "the server accepts the connection but does not respond to the WebSocket upgrade within {timeout}; check the URL's scheme, port and path, and the server's log"},
	transport.UpgradeClosed:          {v1alpha1.ReasonWebSocketRefused, "the server closed the connection instead of answering the WebSocket upgrade; check the URL's scheme, port and path, and the server's log"},
	transport.UpgradeIsTLS:           {v1alpha1.ReasonWebSocketRefused, "the server uses TLS on this port; use wss:// in the URL, or the port of the server's listener without TLS"},
	transport.UpgradeNotHTTP:         {v1alpha1.ReasonWebSocketRefused, "the server does not speak HTTP on this port; check the URL's scheme and port"},
	transport.UpgradeHeadTooLong:     {v1alpha1.ReasonWebSocketRefused, otherAnswer + "{detail}; check the URL's scheme, port and path"},
	transport.UpgradeFailed:          {v1alpha1.ReasonWebSocketRefused, "the WebSocket upgrade failed; check the URL's scheme, port and path, and the server's log"},
	transport.UpgradeNoSubprotocol:   {v1alpha1.ReasonWebSocketRefused, "the server accepts the WebSocket connection but does not select the subprotocol mqtt; check that the URL's path leads to an MQTT server"},
	transport.UpgradeLoginRefused:    {v1alpha1.ReasonWebSocketRefused, upgrade + "check the header fields and the query in webSocket and in the URL, the Secrets that webSocket names, and whether the server asks for a client certificate (tls.certificate)"},
	transport.UpgradeLoginRequired:   {v1alpha1.ReasonWebSocketRefused, upgrade + "the server may require a login before MQTT; set a client certificate in tls.certificate, or a token in webSocket.headers or webSocket.queryFrom"},
	transport.UpgradeRedirected:      {v1alpha1.ReasonWebSocketRefused, upgrade + "it redirects{to target}, and the bridge does not follow redirects; set the URL to the target of the redirect"},
	transport.UpgradeServerError:     {v1alpha1.ReasonWebSocketRefused, upgrade + "see the log of the server, or of the proxy in front of it"},
	transport.UpgradeBadRequestPlain: {v1alpha1.ReasonWebSocketRefused, upgrade + "check the URL's scheme, port and path; if this is a TLS port, use wss:// in the URL"},
	transport.UpgradeByWebServer:     {v1alpha1.ReasonWebSocketRefused, upgrade + "it responds like a web server; check the URL's path, and that the proxy in front of it forwards the Upgrade header"},
	transport.UpgradeWithoutPath:     {v1alpha1.ReasonWebSocketRefused, upgrade + "the URL has no path; many servers require /mqtt"},
	transport.UpgradeRefused:         {v1alpha1.ReasonWebSocketRefused, upgrade + "check the URL's path"},
	transport.WebSocketTextFrame:     {v1alpha1.ReasonProtocolError, "the server sent a WebSocket text frame, but MQTT uses only binary frames; check that the URL's path leads to an MQTT server"},
	transport.WebSocketInvalid:       {v1alpha1.ReasonProtocolError, "the server sent invalid WebSocket data: {detail}; see the server's log"},
	transport.WebSocketClosed:        {v1alpha1.ReasonConnectionClosed, "the server closed the WebSocket connection (code {code}{close cause})"},
}

// closeCauses are the meanings of close codes (RFC 6455 section 7.4.1).
var closeCauses = map[int]string{
	websocket.CloseProtocolError:     ": protocol error",
	websocket.CloseUnsupportedData:   ": unsupported data",
	websocket.ClosePolicyViolation:   ": policy violation; check the server's rules for this client",
	websocket.CloseMessageTooBig:     ": message too big; check the server's limits",
	websocket.CloseInternalServerErr: ": internal server error; see the server's log",
	websocket.CloseServiceRestart:    ": the server restarts or is overloaded",
	websocket.CloseTryAgainLater:     ": the server restarts or is overloaded",
}

func ofTransport(e *transport.Error, timeout string) *Problem {
	explanation, ok := transportTable[e.Kind]
	if !ok { // not reached: a test compares the table with the kinds
		return &Problem{v1alpha1.ReasonConnectionClosed, e.Error()}
	}
	return explanation.problem(func(name string) string { return transportFact(e, name, timeout) })
}

// transportFact returns the value of a placeholder for a fact of an error.
func transportFact(e *transport.Error, name, timeout string) string {
	switch name {
	case "timeout":
		return timeout
	case "server":
		return e.Server
	case "proxy":
		return e.Proxy
	case "host":
		return e.Host
	case `"host"`:
		return fmt.Sprintf("%q", e.Host)
	case "subjectAltName":
		if net.ParseIP(e.Host) != nil {
			return "IP:" + e.Host
		}
		return "DNS:" + e.Host
	case "name":
		return quoted(e.Name)
	case "issuer": // of the client certificate
		if e.Name == "" {
			return "the authority that issued"
		}
		return quoted(e.Name) + ", which issued"
	case "authority":
		if e.Name == "" {
			return "the authority that issued"
		}
		return "the authority " + quoted(e.Name) + ", which issued"
	case "certificate":
		if e.Name == "" {
			return "the server's certificate"
		}
		return "the certificate of the authority " + quoted(e.Name)
	case "names":
		return listed(e.Names)
	case "time":
		return e.At.UTC().Format(time.RFC3339)
	case "detail":
		return e.Detail
	case `"detail"`:
		return fmt.Sprintf("%q", e.Detail)
	case "to target":
		if e.Detail == "" {
			return ""
		}
		return fmt.Sprintf(" to %q", e.Detail)
	case "code":
		return strconv.Itoa(e.Code)
	case "status":
		return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", e.Code, http.StatusText(e.Code)))
	case "close cause":
		return closeCauses[e.Code]
	}
	return unknown(name)
}

// Limits for texts that come from certificates.
const (
	maxNames = 10  // number of names
	maxText  = 128 // length of a name, in bytes
)

// listed lists the names for which a certificate is valid.
func listed(names []string) string {
	if len(names) == 0 {
		return "no names"
	}
	more := ""
	if len(names) > maxNames {
		names, more = names[:maxNames], fmt.Sprintf(" and %d more", len(names)-maxNames)
	}
	short := make([]string, len(names))
	for i := range names {
		short[i] = printable.Short(names[i], maxText)
	}
	return strings.Join(short, ", ") + more
}

// quoted quotes a name in a certificate.
func quoted(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return fmt.Sprintf("%q", text)
}
