// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package emqx imports the MQTT bridges of EMQX 5: connectors.mqtt with their actions, sources and
// rules, and bridges.mqtt of releases before 5.4, in emqx.conf or cluster.hocon.
package emqx

import (
	"cmp"
	"regexp"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/hocon"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// section and words match a configuration that cannot be parsed.
var (
	section = regexp.MustCompile(`(?m)^[ \t]*(bridges|connectors|actions|sources)([.]mqtt\b|[ \t]*[={])`)
	words   = regexp.MustCompile(`\b(connector|connectors|ingress|egress|resource_opts)\b`)
)

// Recognize reports whether a configuration has MQTT bridges of EMQX.
func Recognize(data []byte) bool {
	root, _, err := hocon.Parse(data)
	if err != nil {
		return section.Match(data) && words.Match(data)
	}
	for _, top := range []string{"connectors", "actions", "sources"} {
		if root.Find(top, "mqtt") != nil {
			return true
		}
	}
	if f := root.Find("bridges", "mqtt"); f != nil {
		for _, b := range f.Value.Fields {
			if b.Value.Get("ingress") != nil || b.Value.Get("egress") != nil || b.Value.Get("resource_opts") != nil {
				return true
			}
		}
	}
	return false
}

// Import returns the bridges in a configuration, and the findings that belong to no bridge.
func Import(data []byte, opts *draft.Options) ([]*draft.Bridge, []draft.Finding, error) {
	root, includes, err := hocon.Parse(data)
	if err != nil {
		return nil, nil, err
	}
	var findings []draft.Finding
	for _, i := range includes {
		findings = append(findings, draft.Finding{Kind: draft.LeftOut, Line: i.Line, Key: "include", Text: "the file " + i.File + " is not read; import it as a further FILE"})
	}
	var bridges []*draft.Bridge
	rules := newEngine(root)
	add := func(top string, read func(importer, *draft.Reader)) error {
		f := root.Find(top, "mqtt")
		if f == nil {
			return nil
		}
		for _, c := range f.Value.Fields {
			if c.Value.Kind != tree.Object {
				findings = append(findings, draft.Finding{Kind: draft.LeftOut, Line: c.Line, Key: top + ".mqtt." + c.Key, Text: "a bridge is an object in braces { }"})
				continue
			}
			b := draft.New(opts, c.Key, c.Line)
			read(importer{Bridge: b, root: root, engine: rules}, b.Reader(top+".mqtt."+c.Key, c.Value))
			if err := b.Finish(); err != nil {
				return err
			}
			bridges = append(bridges, b)
		}
		return nil
	}
	if err := add("bridges", importer.legacy); err != nil {
		return nil, nil, err
	}
	if err := add("connectors", importer.connector); err != nil {
		return nil, nil, err
	}
	return bridges, append(findings, orphans(root)...), nil
}

// orphans returns a finding for each action and source whose connector is missing.
func orphans(root *tree.Value) []draft.Finding {
	var out []draft.Finding
	for _, top := range []string{"actions", "sources"} {
		f := root.Find(top, "mqtt")
		if f == nil {
			continue
		}
		for _, a := range f.Value.Fields {
			name := ""
			if c := a.Value.Get("connector"); c != nil {
				name = c.Value.Text
			}
			if root.Find("connectors", "mqtt", name) == nil {
				out = append(out, draft.Finding{Kind: draft.LeftOut, Line: a.Line, Key: top + ".mqtt." + a.Key, Text: "its connector " + cmp.Or(name, "(none)") + " is not in this file; put the connector, its actions, sources and rules into one file"})
			}
		}
	}
	return out
}

// importer imports one connector.
type importer struct {
	*draft.Bridge
	root   *tree.Value
	engine engine
}

const userReason = "only the identifier is imported; set spec.remote.credentials"

const resourceReason = "the bridge has its own health checks, buffers and retries: see spec.buffer and spec.remote.failover"

var reasons = map[string]string{
	"pool_size":        "the bridge is one connection, so that messages stay in order",
	"retry_interval":   "the bridge sends messages again when it has connected again, as MQTT requires, and not after a time",
	"clientid_prefix":  "EMQX appends a node and a number to it; set spec.remote.clientID to a whole identifier, or use the default of the bridge",
	"resource_opts":    resourceReason,
	"connect_timeout":  "spec.remote.failover.connectTimeoutSeconds has this effect; choose its value in seconds",
	"static_clientids": "the bridge has one client identifier: set spec.remote.clientID",
	"reconnect_*":      "the bridge connects again after spec.remote.failover.retry",
	"no_local":         "the bridge always asks servers not to send it its own messages: with MQTT 5 by this option, and with MQTT 3.1.1 by bridgeMode",
}

// side reads the settings of the connection.
func (i importer) side(r *draft.Reader) {
	s := i.Spec()
	i.setLocal()
	r.Skip("mode", "description", "tags", "type", "name", "created_at", "last_modified_at")
	if enabled, ok := r.Bool("enable"); ok && !enabled {
		s.Suspend = ptr.To(true)
		r.Note("enable", "the bridge is suspended, as in the configuration; remove spec.suspend to start it")
	}
	if version, ok := r.Text("proto_ver"); ok {
		switch version {
		case "v5":
			s.Remote.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion5)
		case "v4":
			s.Remote.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion311)
		case "v3":
			r.Changed("proto_ver", "the bridge has no MQTT 3.1; it uses MQTT 3.1.1, which every current server accepts")
		default:
			i.Fail(r.Line("proto_ver"), 1, "proto_ver is v3, v4 or v5, not %q", version)
		}
	}
	i.servers(r, i.tls(r))
	if seconds, ok := r.DurationIn("keepalive", draft.Milliseconds); ok && seconds >= 1 && seconds <= 65535 {
		s.Remote.KeepAliveSeconds = ptr.To(int32(seconds))
	} else if ok {
		r.LeftOut("keepalive", "the bridge always uses a keep alive, from 1 to 65535 seconds; it uses its default")
	}
	if clean, ok := r.Bool("clean_start"); ok {
		s.Remote.CleanSession = ptr.To(clean)
	}
	if window, ok := r.Int("max_inflight", 0, 65535); ok && window > 0 {
		s.Delivery = &v1alpha1.Delivery{InflightWindow: ptr.To(int32(window))} //nolint:gosec // at most 65535
	} else if ok {
		r.LeftOut("max_inflight", "it must be from 1 to 65535; the bridge uses its default")
	}
	i.clientID(r)
	login := r.Login("username", "password")
	if strings.HasPrefix(login.Password, "file://") {
		i.LeftOut(login.PasswordLine, login.PasswordKey, "the password is in the file %s; put it into a Secret, and set spec.remote.credentials.password", strings.TrimPrefix(login.Password, "file://"))
		login.Password = ""
	}
	i.SetLogin(&s.Remote, "remote", login)
}

// clientID reads static_clientids, if they are one identifier.
func (i importer) clientID(r *draft.Reader) {
	var ids []*draft.Reader
	items := r.Items("static_clientids")
	for _, item := range items {
		node := i.Reader(r.Key("static_clientids"), item)
		node.Skip("node")
		for _, id := range node.Items("ids") {
			if id.Kind != tree.Object { // the identifier alone
				id = &tree.Value{Kind: tree.Object, Line: id.Line, Column: id.Column, Fields: []*tree.Field{{Key: "clientid", Line: id.Line, Column: id.Column, Value: id}}}
			}
			ids = append(ids, i.Reader(node.Key("ids"), id))
		}
		node.Rest(nil)
	}
	switch len(ids) {
	case 0:
	case 1:
		i.Spec().Remote.ClientID, _ = ids[0].Text("clientid")
		ids[0].Rest(map[string]string{"username": userReason, "password": userReason})
		return
	}
	if len(items) > 0 {
		r.LeftOut("static_clientids", "%s", reasons["static_clientids"])
	}
}

// finish reads the settings that depend on the rules.
func (i importer) finish(r *draft.Reader) {
	if mode, ok := r.Bool("bridge_mode"); ok && !mode {
		i.BridgeModeOff(r.Line("bridge_mode"), r.Key("bridge_mode"))
	}
	r.Rest(reasons)
}

// setLocal sets the local server from the listeners of EMQX.
func (i importer) setLocal() {
	for _, l := range [][]string{{"listeners", "tcp", "default", "bind"}, {"listeners", "ssl", "default", "bind"}} {
		if f := i.root.Find(l...); f != nil {
			scheme := "mqtt"
			if l[1] == "ssl" {
				scheme = "mqtts"
			}
			i.SetLocal(scheme, draft.PortOf(f.Value.Text), f.Line)
			return
		}
	}
	i.SetLocal("mqtt", "", i.Line)
}

// servers reads the addresses.
func (i importer) servers(r *draft.Reader, tls bool) {
	text, ok := r.Text("server")
	if !ok {
		i.Refuse(i.Line, i.Source, "the bridge has no server")
		return
	}
	scheme := "mqtt"
	if tls {
		scheme = "mqtts"
	}
	var servers []draft.Address
	for server := range strings.SplitSeq(text, ",") {
		server = strings.TrimSpace(server)
		if _, rest, found := strings.Cut(server, "://"); found {
			server = rest
		}
		host, port := server, "1883"
		if colon := strings.LastIndex(server, ":"); colon >= 0 && !strings.HasSuffix(server, "]") {
			host, port = server[:colon], server[colon+1:]
		}
		servers = append(servers, draft.Address{URL: draft.URL(scheme, host, port), Key: r.Key("server"), Line: r.Line("server")})
	}
	i.SetServers(servers)
	if len(servers) > 1 {
		r.Changed("server", "EMQX distributes its connections over the servers; the bridge uses the first server, and the others when it is lost")
	}
}

// tls reads the TLS settings, and reports whether TLS is on.
func (i importer) tls(r *draft.Reader) bool {
	t := r.Object("ssl")
	if t == nil {
		return false
	}
	if on, ok := t.Bool("enable"); !ok || !on {
		return false
	}
	remote := &i.Spec().Remote
	i.SetTLS(remote, "remote", t.File("cacertfile"), t.File("certfile"), t.File("keyfile"))
	switch name, ok := t.Text("server_name_indication"); {
	case !ok || name == "":
	case name == "disable":
		t.LeftOut("server_name_indication", "the bridge always sends the name of the server, and verifies the name in its certificate; set tls.serverName if the certificate has another name than the address")
	default:
		if remote.TLS == nil {
			remote.TLS = &v1alpha1.TLS{}
		}
		remote.TLS.ServerName = name
	}
	switch verify, ok := t.Text("verify"); {
	case !ok:
		t.Changed("verify", "EMQX verifies no certificate by default, and the bridge always does; set tls.ca, and tls.serverName if the certificate has another name than the address")
	case verify == "verify_none":
		t.LeftOut("verify", "the bridge always verifies the certificate of the server; set tls.ca, and tls.serverName if the certificate has another name than the address")
	}
	t.Rest(map[string]string{
		"password":                  "the bridge reads unencrypted keys only, because a Secret protects them; decrypt the key: openssl pkey -in key.pem -out tls.key",
		"ciphers":                   "the bridge chooses the ciphers of TLS 1.2 and 1.3 itself",
		"versions":                  "the bridge uses TLS 1.3 or 1.2, as the server prefers",
		"depth":                     "the bridge has no limit for the length of a chain",
		"reuse_sessions":            "the bridge chooses this itself",
		"hibernate_after":           "it is a setting of Erlang",
		"secure_renegotiate":        "the bridge does not use TLS renegotiation",
		"user_lookup_fun":           "the bridge does not support pre-shared keys",
		"log_level":                 "set spec.runner.logLevel",
		"partial_chain":             "the bridge trusts each certificate in tls.ca",
		"verify_peer_ext_key_usage": "the bridge always verifies the certificate of the server",
		"middlebox_comp_mode":       "the bridge chooses this itself",
	})
	return true
}
