// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mosquitto

import (
	"strconv"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// importer imports one connection.
type importer struct{ *draft.Bridge }

// program is the name of the program in messages.
const program = "Mosquitto"

const (
	lazyReason   = "a bridge of this project is always connected"
	cipherReason = "the bridge chooses the ciphers of TLS 1.2 and 1.3 itself"
)

// reasons are the options without a counterpart.
var reasons = map[string]string{
	"threshold":                  "it applies to start_type lazy: " + lazyReason,
	"idle_timeout":               "it applies to start_type lazy: " + lazyReason,
	"bridge_attempt_unsubscribe": "the bridge unsubscribes only from filters that were removed from its rules",
	"bridge_bind_address":        "the network of the pod selects the address; use runner.nodeSelector to select the node",
	"bridge_capath":              "the bridge reads the certificates of the authorities from one object; put them into one file, and set tls.ca",
	"bridge_ciphers":             cipherReason,
	"bridge_ciphers_tls1.3":      cipherReason,
	"bridge_max_topic_alias":     "the bridge uses no topic aliases",
	"bridge_receive_maximum":     "the bridge derives the receive maximum from spec.delivery.inflightWindow",
	"bridge_reload_type":         "the operator applies a change of the manifest at once, and reconnects only if the change needs it",
	"bridge_require_ocsp":        "the bridge does not check OCSP; use short-lived certificates",
	"bridge_tcp_keepalive":       "the bridge finds dead connections by keepAliveSeconds and failover.pingTimeoutSeconds",
	"bridge_tcp_user_timeout":    "failover.ackTimeoutSeconds has this effect; choose its value in seconds",
}

// read reads the options of the connection. broker holds options of the broker.
func (i importer) read(r *draft.Reader, broker *tree.Value) {
	s := i.Spec()
	i.setLocal(broker)
	i.version(r)
	tls := i.security(r)
	i.servers(r, tls)
	i.session(r)
	i.SetLogin(&s.Remote, "remote", r.Login("remote_username", "remote_password"))
	i.SetLogin(&s.Local, "local", r.Login("local_username", "local_password"))
	i.topics(r)
	i.retain(r)
	if private, ok := r.Bool("try_private"); ok && !private {
		i.BridgeModeOff(r.Line("try_private"), "try_private")
	}
	i.notifications(r)
	i.retry(r)
	i.start(r)
	i.brokerOptions(broker)
	for _, option := range []string{"remote_clientid", "remote_username", "remote_password", "local_clientid", "local_username", "local_password", "notification_topic", "bridge_cafile", "bridge_certfile", "bridge_keyfile", "bridge_alpn"} {
		text, _ := r.Text(option)
		i.NoteComment(r.Line(option), r.Key(option), text, program)
	}
	r.Rest(reasons)
}

func (i importer) version(r *draft.Reader) {
	version, ok := r.Text("bridge_protocol_version")
	remote := &i.Spec().Remote
	switch {
	case !ok:
	case version == "mqttv50":
		remote.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion5)
	case version == "mqttv311":
		remote.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion311)
	case version == "mqttv31":
		r.Changed("bridge_protocol_version", "the bridge has no MQTT 3.1; it uses MQTT 3.1.1, which every current server accepts")
	default:
		i.Fail(r.Line("bridge_protocol_version"), 1, "bridge_protocol_version is mqttv31, mqttv311 or mqttv50, not %q", version)
	}
}

// servers reads the addresses.
func (i importer) servers(r *draft.Reader, tls bool) {
	text, ok := r.Text("address")
	if !ok {
		i.Refuse(i.Line, "connection "+i.Source, "the connection has no address")
		return
	}
	scheme := "mqtt"
	if tls {
		scheme = "mqtts"
	}
	var servers []draft.Address
	for _, address := range strings.Fields(text) {
		if address[0] == '#' {
			break
		}
		host, port := address, "1883"
		if colon := strings.LastIndex(address, ":"); colon >= 0 {
			host, port = address[:colon], address[colon+1:]
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			i.Fail(r.Line("address"), 1, "the port of the address %s must be a number from 1 to 65535; an IPv6 address needs a port", v1alpha1.PublicURL(address))
			return
		}
		servers = append(servers, draft.Address{URL: draft.URL(scheme, host, port), Key: r.Key("address"), Line: r.Line("address")})
	}
	i.SetServers(servers)
	remote := &i.Spec().Remote
	roundRobin, _ := r.Bool("round_robin")
	switch {
	case len(remote.Backups) == 0:
	case roundRobin:
		draft.Failover(remote).Failback = &v1alpha1.Failback{Policy: ptr.To(v1alpha1.FailbackNever)}
		r.Changed("round_robin", "Mosquitto takes the addresses in turn; the bridge tries them in their order when the server in use is lost, and then stays, because failback.policy is Never")
	default:
		r.Note("address", "Mosquitto returns to the first address as soon as it accepts connections; the bridge returns when its probes have succeeded for failover.failback.stableSeconds, 60 by default")
	}
}

// session reads the settings of the sessions.
func (i importer) session(r *draft.Reader) {
	s := i.Spec()
	s.Remote.ClientID, _ = r.Text("remote_clientid")
	s.Local.ClientID, _ = r.Text("local_clientid")
	if seconds, ok := r.Int("keepalive_interval", 0, 65535); ok {
		if seconds < 5 {
			r.Note("keepalive_interval", "keepAliveSeconds is 5, as Mosquitto uses 5 seconds for shorter times")
		}
		s.Remote.KeepAliveSeconds = ptr.To(int32(max(seconds, 5))) //nolint:gosec // at most 65535
	}
	clean, isSet := r.Bool("cleansession")
	if isSet {
		s.Remote.CleanSession = ptr.To(clean)
	}
	if local, ok := r.Bool("local_cleansession"); ok {
		s.Local.CleanSession = ptr.To(local)
	} else if isSet {
		s.Local.CleanSession = ptr.To(clean)
	}
	if seconds, ok := r.Int("bridge_session_expiry_interval", 0, 4294967295); ok {
		if ptr.Deref(s.Remote.ProtocolVersion, "") == v1alpha1.ProtocolVersion5 {
			draft.SetExpiry(&s.Remote, seconds)
		} else {
			r.LeftOut("bridge_session_expiry_interval", "it needs bridge_protocol_version mqttv50")
		}
	}
	r.PacketSize(&s.Remote, "bridge_max_packet_size", program)
}

// security reads the TLS settings, and reports whether the connection uses TLS.
func (i importer) security(r *draft.Reader) bool {
	for _, option := range []string{"bridge_psk", "bridge_identity"} {
		if r.Has(option) {
			r.Skip(option)
			i.Refuse(r.Line(option), option, "the bridge does not support pre-shared keys (TLS-PSK), because Go and most current servers do not; give the server a certificate, and use bridge_cafile")
		}
	}
	system, _ := r.Bool("bridge_tls_use_os_certs")
	uses := r.Has("bridge_cafile") || r.Has("bridge_capath") || system
	if !uses {
		for _, option := range []string{"bridge_certfile", "bridge_keyfile", "bridge_alpn", "bridge_tls_version", "bridge_insecure"} {
			if r.Has(option) {
				r.Skip(option)
				r.LeftOut(option, "the connection has no bridge_cafile, bridge_capath or bridge_tls_use_os_certs, so Mosquitto does not use TLS")
			}
		}
		return false
	}
	remote := &i.Spec().Remote
	i.SetTLS(remote, "remote", r.File("bridge_cafile"), r.File("bridge_certfile"), r.File("bridge_keyfile"))
	if system && r.Has("bridge_cafile") {
		r.Changed("bridge_tls_use_os_certs", "the bridge trusts either tls.ca or the authorities of the operating system; it trusts bridge_cafile")
	}
	if insecure, ok := r.Bool("bridge_insecure"); ok && insecure {
		r.LeftOut("bridge_insecure", "the bridge always verifies the name in the server's certificate; set tls.serverName to the name that it contains")
	}
	if alpn, ok := r.Text("bridge_alpn"); ok {
		if remote.TLS == nil {
			remote.TLS = &v1alpha1.TLS{}
		}
		remote.TLS.ALPN = []string{alpn}
	}
	if version, ok := r.Text("bridge_tls_version"); ok {
		r.LeftOut("bridge_tls_version", "the bridge uses TLS 1.3 or 1.2, as the server prefers; it cannot be limited to %s", version)
	}
	return true
}
