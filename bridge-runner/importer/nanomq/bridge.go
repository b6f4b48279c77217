// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package nanomq

import (
	"regexp"
	"strconv"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// importer imports one bridge.
type importer struct {
	*draft.Bridge
	root *tree.Value
	aws  bool
	// lines is whether the configuration has the format with lines.
	lines bool
	// enable is the key that turns the bridge on. It is empty if the bridge is on without it.
	enable string
}

// program is the name of the program in messages.
const program = "NanoMQ"

const (
	quicReason  = "the bridge connects over TCP, and has no QUIC"
	queueReason = "NanoMQ counts queued messages; a bridge of this project limits their size: spec.buffer.memory.size"
	willReason  = "the Will of a bridge of this project reports whether it forwards: set spec.notifications.topic"
)

// reasons are the keys of a bridge without a counterpart.
var reasons = map[string]string{
	"quic_*":                    quicReason,
	"congestion_control":        quicReason,
	"multi_stream":              quicReason,
	"max_parallel_processes":    "the bridge is one connection on each side, and needs no setting for its concurrency",
	"parallel":                  "the bridge is one connection on each side, and needs no setting for its concurrency",
	"max_send_queue_len":        queueReason,
	"max_recv_queue_len":        queueReason,
	"resend_interval":           "the bridge sends messages again when it has connected again, as MQTT requires, and not after a time",
	"resend_wait":               "the bridge sends messages again when it has connected again, as MQTT requires, and not after a time",
	"cancel_timeout":            "the bridge treats a server as lost that acknowledges no message for failover.ackTimeoutSeconds",
	"will":                      willReason,
	"sub_properties":            "the bridge sends no subscription identifier and no user properties of its own with SUBSCRIBE",
	"tcp":                       "the bridge sets the options of its sockets itself; failover.ackTimeoutSeconds limits how long a dead connection lasts",
	"transparent":               "a bridge of this project subscribes to fixed filters, not to the filters of clients",
	"stream_auto_assign_enable": quicReason,
}

// read reads the keys of the bridge.
func (i importer) read(r *draft.Reader) {
	s := i.Spec()
	i.setLocal()
	r.Skip("name")
	switch enabled, ok := r.Bool("enable"); {
	case ok && !enabled:
		s.Suspend = ptr.To(true)
		r.Note("enable", "the bridge is suspended, as in the configuration; remove spec.suspend to start it")
	case i.enable != "" && !r.Has("enable"):
		s.Suspend = ptr.To(true)
		i.Note(i.Line, i.enable, "without this key, NanoMQ does not start the bridge, so it is suspended; remove spec.suspend to start it")
	}
	c := r
	if connector := r.Object("connector"); connector != nil {
		c = connector
	}
	i.version(c)
	tls := i.servers(c, r)
	i.session(c)
	i.properties(c)
	i.SetLogin(&s.Remote, "remote", c.Login("username", "password"))
	if retry, ok := r.Bool("retry_qos_0"); ok && retry {
		s.Buffer = &v1alpha1.Buffer{QoS0WhenDown: ptr.To(v1alpha1.QoS0WhenDownBuffer)}
	}
	i.forwards(r)
	i.subscriptions(r)
	i.tls(r, c, tls)
	r.Rest(reasons)
	if c != r {
		c.Rest(reasons)
	}
}

// setLocal sets the local server from the listeners of NanoMQ.
func (i importer) setLocal() {
	for _, l := range []struct {
		scheme string
		path   []string
	}{
		{"mqtt", []string{"listeners", "tcp", "bind"}},
		{"mqtt", []string{"url"}},
		{"mqtts", []string{"listeners", "ssl", "bind"}},
	} {
		if f := i.root.Find(l.path...); f != nil {
			if on := i.root.Find(append(l.path[:len(l.path)-1:len(l.path)-1], "enable")...); on != nil && on.Value.Text == "false" {
				continue
			}
			if port := draft.PortOf(f.Value.Text); port != "" {
				i.SetLocal(l.scheme, port, f.Line)
				return
			}
		}
	}
	i.SetLocal("mqtt", "", i.Line)
}

// version reads the version of MQTT.
func (i importer) version(r *draft.Reader) {
	version, ok := r.Int("proto_ver", 3, 5)
	switch {
	case !ok:
	case version == 5:
		i.Spec().Remote.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion5)
	case version == 4:
		i.Spec().Remote.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion311)
	default:
		r.Changed("proto_ver", "the bridge has no MQTT 3.1; it uses MQTT 3.1.1, which every current server accepts")
	}
}

// session reads the settings of the session.
func (i importer) session(r *draft.Reader) {
	remote := &i.Spec().Remote
	if id, ok := r.Text("clientid"); ok && id != "" {
		remote.ClientID = id
	}
	if seconds, ok := i.seconds(r, "keepalive"); ok {
		if seconds < 1 || seconds > 65535 {
			r.LeftOut("keepalive", "the bridge always uses a keep alive, from 1 to 65535 seconds; it uses its default")
		} else {
			remote.KeepAliveSeconds = ptr.To(int32(seconds))
		}
	}
	if clean, ok := r.Bool("clean_start"); ok {
		remote.CleanSession = ptr.To(clean)
	}
	if seconds, ok := i.seconds(r, "backoff_max"); ok {
		if seconds < 1 || seconds > 3600 {
			r.LeftOut("backoff_max", "failover.retry.maxSeconds must be from 1 to 3600; the bridge uses its default")
		} else {
			draft.Failover(remote).Retry = &v1alpha1.Retry{MaxSeconds: ptr.To(int32(seconds))}
		}
	}
}

// timeText matches a time as NanoMQ reads it: a number, and the character behind it.
var timeText = regexp.MustCompile(`^(\d{1,10})(.?)(.*)$`)

// seconds returns the time under a key as NanoMQ reads it. In the format with lines, the number is in seconds, and
// the rest has no effect. In the other formats, the character behind the number is the unit, and the rest has no
// effect; a number without a unit is not read.
func (i importer) seconds(r *draft.Reader, key string) (int64, bool) {
	text, _ := r.Text(key)
	m := timeText.FindStringSubmatch(text)
	if m == nil {
		return r.Seconds(key) // it is no time, or does not exist
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	read, known := n*unitSeconds[m[2]], m[3] == "" && unitSeconds[m[2]] > 0
	switch {
	case i.lines:
		read, known = n, m[2] == "" || text == m[1]+"s"
	case m[2] == "":
		r.Note(key, "NanoMQ does not read a time without the unit s, m or h; the bridge uses %d seconds", n)
		return n, true
	}
	if !known {
		r.Note(key, "NanoMQ reads %s as %d seconds; correct the value in the manifest if you mean another time", text, read)
	}
	return read, true
}

// unitSeconds are the units of times in NanoMQ. Others are read as 0.
var unitSeconds = map[string]int64{"s": 1, "m": 60, "h": 3600}

// connectReasons are the properties of CONNECT without a counterpart.
var connectReasons = map[string]string{
	"receive_maximum":     "the bridge derives the receive maximum from spec.delivery.inflightWindow",
	"topic_alias_maximum": "the bridge uses no topic aliases",
	"request_*":           "the bridge needs no problem or response information from the server",
	"user_property":       "the bridge sends no user properties with CONNECT; userProperties of a rule are added to messages",
}

// properties reads the properties of CONNECT, which NanoMQ uses with MQTT 5.
func (i importer) properties(r *draft.Reader) {
	remote := &i.Spec().Remote
	is5 := ptr.Deref(remote.ProtocolVersion, "") == v1alpha1.ProtocolVersion5
	for _, key := range []string{"conn_properties", "conn_property"} {
		p := r.Object(key)
		if p == nil {
			continue
		}
		if seconds, ok := p.Seconds("session_expiry_interval"); ok {
			if is5 {
				draft.SetExpiry(remote, seconds)
			} else {
				p.LeftOut("session_expiry_interval", "it needs MQTT 5, but the bridge uses MQTT 3.1.1")
			}
		}
		p.PacketSize(remote, "maximum_packet_size", program)
		p.Rest(connectReasons)
	}
}

// tls reads the TLS settings. uses reports whether a server uses TLS.
func (i importer) tls(r, c *draft.Reader, uses bool) {
	t := r.Object("ssl")
	if t == nil && c != r {
		t = c.Object("ssl")
	}
	if t == nil {
		return
	}
	if enabled, ok := t.Bool("enable"); ok && !enabled {
		return
	}
	if !uses {
		t.Rest(map[string]string{"*": "no server of the bridge has the scheme tls+mqtt-tcp://, so NanoMQ does not use it"})
		return
	}
	side := &i.Spec().Remote
	i.SetTLS(side, "remote", t.File("cacertfile"), t.File("certfile"), t.File("keyfile"))
	if verify, ok := t.Bool("verify_peer"); ok && !verify {
		t.LeftOut("verify_peer", "the bridge always verifies the certificate of the server; set tls.ca, and tls.serverName if the certificate has another name than the URL")
	}
	t.Skip("fail_if_no_peer_cert")
	t.Rest(map[string]string{
		"key_password": "the bridge reads unencrypted keys only, because a Secret protects them; decrypt the key: openssl pkey -in key.pem -out tls.key",
		"ciphers":      "the bridge chooses the ciphers of TLS 1.2 and 1.3 itself",
		"tls_version":  "the bridge uses TLS 1.3 or 1.2, as the server prefers",
	})
}

// scheme returns the scheme of this project for one of NanoMQ, and the rest of the URL.
func scheme(url string) (scheme, rest string) {
	before, rest, ok := strings.Cut(url, "://")
	if !ok {
		return "", url
	}
	return map[string]string{"mqtt-tcp": "mqtt", "tls+mqtt-tcp": "mqtts", "mqtt-quic": "quic", "mqtt": "mqtt", "mqtts": "mqtts", "tcp": "mqtt", "ssl": "mqtts", "tls": "mqtts"}[before], rest
}
