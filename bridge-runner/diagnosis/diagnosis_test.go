// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// The tests of packages transport and session compare the messages of most kinds. Here each fact occurs
// in one message at least.
func TestOf_EachFact_IsInTheMessage(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	login := session.Login{Source: `the Secret "login"`, Username: true}
	for _, c := range []struct {
		err             error
		reason, message string
	}{
		{nil, v1alpha1.ReasonConnectionClosed, "the session ended"},
		{io.EOF, v1alpha1.ReasonConnectionClosed, "EOF"},
		{fmt.Errorf("wrapped: %w", EchoReceived), v1alpha1.ReasonEchoNotPrevented, EchoReceived.Message},
		{ReferenceMissing(errors.New("no Secret")), v1alpha1.ReasonReferenceMissing, "no Secret"},

		{&transport.Error{Kind: transport.NameNotResolved, Host: "h", Detail: "no such host"}, v1alpha1.ReasonNameNotResolved, `the host name "h" cannot be resolved (no such host); check the URL's host, and the DNS of the pod or machine that connects`},
		{fmt.Errorf("wrapped: %w", &transport.Error{Kind: transport.HostUnreachable, Detail: "no route"}), v1alpha1.ReasonHostUnreachable, "the host cannot be reached: no route; check routes and network policies"},
		{&transport.Error{Kind: transport.ProxySchemeUnknown, Detail: "ftp"}, v1alpha1.ReasonProxyFailed, `proxy.url has the unsupported scheme "ftp"; use socks5:// or http://`},
		{&transport.Error{Kind: transport.ProxyForbidsConnect, Proxy: "p:1", Server: "s:2", Code: 403}, v1alpha1.ReasonProxyFailed, "the proxy p:1 forbids the connection (HTTP 403 Forbidden); allow CONNECT to s:2 in the proxy's rules"},
		{&transport.Error{Kind: transport.ProxyRefusesConnect, Proxy: "p:1", Code: 777}, v1alpha1.ReasonProxyFailed, "the proxy p:1 refuses the connection (HTTP 777); check that proxy.url names a proxy that allows CONNECT"},
		{&transport.Error{Kind: transport.ProxyOtherReply, Proxy: "p:1", Detail: "{server}"}, v1alpha1.ReasonProxyFailed, "the proxy p:1 does not connect to the server: {server}; see the proxy's log"},
		{&transport.Error{Kind: transport.CertificateSelfSigned, Name: strings.Repeat("x", 200)}, v1alpha1.ReasonTLSFailed, `TLS: the server's certificate is self-signed by "` + strings.Repeat("x", 128) + `...", an unknown authority; add this certificate to the object in tls.ca`},
		{&transport.Error{Kind: transport.CertificateSelfSigned, Name: "x" + strings.Repeat("ü", 100)}, v1alpha1.ReasonTLSFailed, `TLS: the server's certificate is self-signed by "x` + strings.Repeat("ü", 63) + `...", an unknown authority; add this certificate to the object in tls.ca`},
		{&transport.Error{Kind: transport.CertificateOnlyCommonName, Host: "h", Name: "c"}, v1alpha1.ReasonTLSFailed, `TLS: the server's certificate has only a common name, "c", and no subjectAltName, which is required; reissue it with the subjectAltName DNS:h`},
		{&transport.Error{Kind: transport.CertificateNoNames, Host: "::1"}, v1alpha1.ReasonTLSFailed, "TLS: the server's certificate contains no names of hosts; reissue it with the subjectAltName IP:::1"},
		{&transport.Error{Kind: transport.CertificateOtherName, Host: "h"}, v1alpha1.ReasonTLSFailed, `TLS: the server's certificate is not valid for the name "h"; it is valid for no names; set tls.serverName to one of these names`},
		{&transport.Error{Kind: transport.CertificateOtherName, Host: "h", Names: strings.Fields("1 2 3 4 5 6 7 8 9 10 11 12")}, v1alpha1.ReasonTLSFailed, `TLS: the server's certificate is not valid for the name "h"; it is valid for 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more; set tls.serverName to one of these names`},
		{&transport.Error{Kind: transport.CertificateExpired, At: at}, v1alpha1.ReasonTLSFailed, "TLS: the server's certificate expired at 2026-01-02T02:04:05Z; renew it, or check the clock of the runner's machine"},
		{&transport.Error{Kind: transport.CertificateNotForServers, Name: "a"}, v1alpha1.ReasonTLSFailed, `TLS: the certificate of the authority "a" is not valid for servers; reissue it with the extended key usage serverAuth`},
		{&transport.Error{Kind: transport.AlertIssuerNotTrusted, Name: "a", Detail: "tls: x"}, v1alpha1.ReasonTLSFailed, `TLS: the server refused the handshake (tls: x); it does not trust "a", which issued the client certificate in tls.certificate; add that authority on the server, or the intermediate certificates to tls.certificate`},
		{&transport.Error{Kind: transport.AlertIssuerNotTrusted, Detail: "tls: x"}, v1alpha1.ReasonTLSFailed, "TLS: the server refused the handshake (tls: x); it does not trust the authority that issued the client certificate in tls.certificate; add that authority on the server, or the intermediate certificates to tls.certificate"},
		{&transport.Error{Kind: transport.AlertOtherAuthority, Name: "a", Detail: "tls: x"}, v1alpha1.ReasonTLSFailed, `TLS: the server refused the handshake (tls: x); it does not accept client certificates of the authority "a", which issued the client certificate in tls.certificate; use a certificate of an authority that the server accepts`},
		{&transport.Error{Kind: transport.AlertOtherAuthority, Detail: "tls: x"}, v1alpha1.ReasonTLSFailed, "TLS: the server refused the handshake (tls: x); it does not accept client certificates of the authority that issued the client certificate in tls.certificate; use a certificate of an authority that the server accepts"},
		{&transport.Error{Kind: transport.UpgradeRedirected, Code: 307, Detail: "ws://h/"}, v1alpha1.ReasonWebSocketRefused, `the server refuses the WebSocket connection (HTTP 307 Temporary Redirect); it redirects to "ws://h/", and the bridge does not follow redirects; set the URL to the target of the redirect`},
		{&transport.Error{Kind: transport.WebSocketClosed, Code: 1013}, v1alpha1.ReasonConnectionClosed, "the server closed the WebSocket connection (code 1013: the server restarts or is overloaded)"},

		{&session.Error{Kind: session.ConnectRefused, Version: packet.V311, Code: 4, Login: login}, v1alpha1.ReasonAuthenticationFailed, `the server refuses the user name or password (CONNACK 4); check the user name in the Secret "login"; the bridge sends no password`},
		{&session.Error{Kind: session.ConnectRefused, Version: packet.V5, Code: 0x9A, Said: "no"}, v1alpha1.ReasonConnectRefused, `the server does not support retained messages (CONNACK 0x9a, "no"), which notifications require; remove notifications`},
		{&session.Error{Kind: session.ConnectRefused, Version: packet.V5, Code: 0x9B}, v1alpha1.ReasonConnectRefused, "the server does not support the QoS of the notifications (CONNACK 0x9b); set notifications.qos to 0"},
		{&session.Error{Kind: session.ConnectRefused, Version: packet.V5, Code: 0xFE, ServerReference: "other"}, v1alpha1.ReasonConnectRefused, `the server refuses the connection (CONNACK 0xfe); it refers to another server: "other"; check the server's log`},
		{&session.Error{Kind: session.VersionNotSupported, Version: packet.V5, Detail: "x"}, v1alpha1.ReasonProtocolVersionRefused, "the server seems not to support MQTT 5: x; set protocolVersion to a version that the server supports"},
		{&session.Error{Kind: session.Disconnected, Code: 0x98, Said: "{said}", ServerReference: "other"}, v1alpha1.ReasonDisconnected, `the server's administrator ended the session (DISCONNECT 0x98, "{said}"); it refers to another server: "other"`},
		{&session.Error{Kind: session.PublishRefused, Topic: "t", Code: 0x83, Said: "no"}, v1alpha1.ReasonPublishRefused, `the server refuses a message to "t" (reason code 0x83, "no")`},
		{&session.Error{Kind: session.NoAcknowledgement, Timeout: 30 * time.Second}, v1alpha1.ReasonAckTimeout, "the server has acknowledged no message for 30s; check the server and the network, or raise failover.ackTimeoutSeconds"},
		{&session.Error{Kind: session.SubscribeTooLarge, Filters: []string{"a"}, Limit: 7}, v1alpha1.ReasonSubscriptionRefused, `the subscription to "a" is larger than the server's maximum packet size of 7 bytes; raise this limit on the server, or shorten the rule's filter`},
		{&session.Error{Kind: session.SubackMismatch, Requested: 2, Answered: 1}, v1alpha1.ReasonProtocolError, "the server answered a subscription to 2 filters with 1 codes, so that it is unknown which filters it granted; update the server"},
		{
			&session.Error{Kind: session.SubscriptionsRefused, Refused: []session.RefusedFilter{{Filter: "a", Code: 0x87, Said: "no"}, {Filter: "b", Code: 0x83}}},
			v1alpha1.ReasonSubscriptionRefused, `the server refuses 2 subscriptions; allow the bridge's user to subscribe to them, or change the rules' filters: "a": not authorised, "no"; "b": reason code 0x83`,
		},
		{
			&session.Error{Kind: session.UnsubscriptionsRefused, Refused: []session.RefusedFilter{{Filter: "a", Code: 0x87, Said: "no"}, {Filter: "b", Code: 0x95}}},
			v1alpha1.ReasonSubscriptionRefused, `the server refuses to end subscriptions, so that the bridge drops the messages that still arrive for them; end them on the server: "a": not authorised, "no"; "b": the request is larger than the server's maximum packet size`,
		},
		{
			&session.Error{Kind: session.SubscribingFailed, Filters: []string{"a", "b"}, Err: &session.Error{Kind: session.PingTimeout}},
			v1alpha1.ReasonPingTimeout, `while subscribing to "a", "b": the server did not answer a ping within failover.pingTimeoutSeconds; check the server and the network`,
		},
		{
			&session.Error{Kind: session.SubscribingFailed, Filters: []string{"a", "b", "c", "d"}, Err: EchoReceived},
			v1alpha1.ReasonEchoNotPrevented, `while subscribing to "a", "b", "c" and 1 more: ` + EchoReceived.Message,
		},
		{
			&session.Error{Kind: session.BridgeFlagSuspected, Err: &transport.Error{Kind: transport.WebSocketClosed, Code: 4321}},
			v1alpha1.ReasonConnectionClosed, "the server closed the WebSocket connection (code 4321); if the server does not support the bridge flag, set bridgeMode: 'Off'",
		},
	} {
		if p := Of(c.err); p.Reason != c.reason || p.Message != c.message {
			t.Errorf("got  %s: %s\nwant %s: %s", p.Reason, p.Message, c.reason, c.message)
		}
	}
}

// A server that sends a certificate with an invalid URI chooses the text of the error.
func TestOf_HugeFact_IsCut(t *testing.T) {
	huge := strings.Repeat("x", 400<<10)
	for _, err := range []error{
		&transport.Error{Kind: transport.TLSFailed, Detail: huge},
		&transport.Error{Kind: transport.CertificateNotAccepted, Detail: huge},
		&session.Error{Kind: session.PublishRefused, Topic: huge, Said: huge},
		&session.Error{Kind: session.SubscribingFailed, Filters: []string{huge}, Err: &transport.Error{Kind: transport.TLSFailed, Detail: huge}},
	} {
		if p := Of(err); len(p.Message) > 4096 || !strings.Contains(p.Message, "xxx...") {
			t.Errorf("a message of %d bytes: %.100s", len(p.Message), p.Message)
		}
	}
}

// An attempt and a probe have different settings for their time.
func TestOfProbe_Timeouts_NameTheSettingOfTheProbe(t *testing.T) {
	for _, err := range []error{
		&transport.Error{Kind: transport.ConnectTimeout},
		&transport.Error{Kind: transport.ProxyConnectTimeout},
		&transport.Error{Kind: transport.ProxySilent},
		&transport.Error{Kind: transport.TLSTimeout},
		&transport.Error{Kind: transport.UpgradeSilent},
		&session.Error{Kind: session.ConnackTimeout},
	} {
		attempt, probe := Of(err), OfProbe(err)
		if probe.Reason != attempt.Reason ||
			!strings.Contains(attempt.Message, " failover.connectTimeoutSeconds") || strings.Replace(attempt.Message, "failover.connectTimeoutSeconds", "failover.probe.timeoutSeconds", 1) != probe.Message {
			t.Errorf("%v: %v; in a probe: %v", err, attempt, probe)
		}
	}
}

func TestPermanent_Reasons_UntilTheConfigurationChanges(t *testing.T) {
	for reason, want := range map[string]bool{
		v1alpha1.ReasonAuthenticationFailed:   true,
		v1alpha1.ReasonClientIDRejected:       true,
		v1alpha1.ReasonProtocolVersionRefused: true,
		v1alpha1.ReasonEchoNotPrevented:       true,
		v1alpha1.ReasonConnectionRefused:      false,
		v1alpha1.ReasonServerUnavailable:      false,
		v1alpha1.ReasonReferenceMissing:       false,
	} {
		if got := (&Problem{Reason: reason}).Permanent(); got != want {
			t.Errorf("%s: %t", reason, got)
		}
	}
}

func TestShortfalls_Each_HasItsReason(t *testing.T) {
	for _, c := range []struct {
		given session.Shortfalls
		want  []string // reasons and parts of the messages
	}{
		{session.Shortfalls{}, nil},
		{
			session.Shortfalls{Publish: &session.LoweredQoS{Requested: 2, Granted: 0}, Lowered: []session.LoweredFilter{{Filter: "a", Requested: 1}}},
			[]string{v1alpha1.ReasonQoSLowered, `lower the rules' qos to 0; the server grants a lower QoS than the rules request, so that messages are lost while the bridge is disconnected; allow the QoS on the server, or set the rules' qos to the granted QoS: "a" (QoS 0 instead of 1)`},
		},
		{
			session.Shortfalls{Lowered: []session.LoweredFilter{{Filter: "a", Requested: 2, Granted: 1}}, Expiry: &session.LoweredExpiry{Requested: math.MaxUint32, Granted: 5}},
			[]string{v1alpha1.ReasonQoSLowered, "messages may arrive twice", v1alpha1.ReasonSessionExpiryLowered, "the server keeps the session for 5s without a connection (sessionExpiry: Never), so that messages are lost during a longer outage; raise the server's limit, or set sessionExpiry: 5s if"},
		},
		{session.Shortfalls{Expiry: &session.LoweredExpiry{Requested: 60}}, []string{v1alpha1.ReasonSessionExpiryLowered, "(sessionExpiry: 1m)"}},
		{session.Shortfalls{Expiry: &session.LoweredExpiry{Requested: 86400, Granted: 90}}, []string{v1alpha1.ReasonSessionExpiryLowered, "for 90s without a connection (sessionExpiry: 24h)"}},
	} {
		got := Shortfalls(c.given)
		if len(got) != len(c.want)/2 {
			t.Fatalf("got %q, want %q", got, c.want)
		}
		for i, p := range got {
			if p.Reason != c.want[2*i] || !strings.Contains(p.Message, c.want[2*i+1]) {
				t.Errorf("got %s: %s\nwant %s", p.Reason, p.Message, c.want[2*i:2*i+2])
			}
		}
	}
}

func TestRemarks_Each_IsNamed(t *testing.T) {
	got := Remarks(session.Remarks{Violations: []string{"x", "y"}, NoRetain: true, NoBridgeFlag: true})
	want := []string{
		"the server's CONNACK has x", "the server's CONNACK has y",
		"the server does not support retained messages; the bridge sends messages to it without the retain flag",
		"the server refuses the bridge flag, so the bridge connects without it; set bridgeMode: 'Off' to avoid the attempt with the flag",
	}
	if none := Remarks(session.Remarks{}); !slices.Equal(got, want) || none != nil {
		t.Errorf("%q; none: %q", got, none)
	}
}

// A server chooses the names in its certificate.
func TestOf_NamesOfCertificate_ArePrintableAndShort(t *testing.T) {
	for _, e := range []*transport.Error{
		{Kind: transport.CertificateOtherName, Host: "h", Names: []string{"a\n\x1b[2J", strings.Repeat("b", 30_000)}},
		{Kind: transport.CertificateNotAccepted, Detail: "x509: a\n\x1b[2J"},
	} {
		got := Of(e).Message
		if strings.ContainsAny(got, "\n\x1b") || !strings.Contains(got, `a\n\x1b[2J`) || len(got) > 600 {
			t.Errorf("%.600q", got)
		}
	}
}
