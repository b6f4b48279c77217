// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package nanomq

import (
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// servers reads the servers of the bridge: server, hybrid_servers, and the backup servers that
// some configurations have. It reports whether one of them uses TLS. r is the object of the bridge
// and c its connector.
func (i importer) servers(c, r *draft.Reader) (tls bool) {
	var servers []draft.Address
	add := func(key, url string, line int) {
		converted, ok := i.server(key, url, line)
		if ok {
			servers = append(servers, draft.Address{URL: converted, Key: key, Line: line})
			tls = tls || strings.HasPrefix(converted, "mqtts://")
		}
	}
	if server, ok := c.Text("server"); ok {
		add(c.Key("server"), server, c.Line("server"))
	} else if i.aws && c.Has("host") {
		host, _ := c.Text("host")
		port, _ := c.Int("port", 1, 65535)
		if port == 0 {
			port = 8883
		}
		add(c.Key("host"), hostPort(host, int(port)), c.Line("host"))
	} else if !c.Has("server") {
		i.Refuse(i.Line, i.Source, "the bridge has no server")
		return false
	}
	hybrid, isSet := r.Bool("hybrid_bridging")
	list := r.Items("hybrid_servers")
	if len(list) > 0 && isSet && !hybrid {
		r.LeftOut("hybrid_servers", "hybrid_bridging is false, so NanoMQ does not use these servers; add them as spec.remote.backups if you want them")
		list = nil
	}
	for _, item := range list {
		add(r.Key("hybrid_servers"), item.Text, item.Line)
	}
	backups := i.backups(r, add)
	if len(servers) == 0 {
		i.Refuse(c.Line("server"), c.Key("server"), "the bridge has no server that this project can connect to")
		return false
	}
	i.SetServers(servers)
	remote := &i.Spec().Remote
	if len(remote.Backups) > 0 && len(list) > 0 && backups == 0 {
		draft.Failover(remote).Failback = &v1alpha1.Failback{Policy: ptr.To(v1alpha1.FailbackNever)}
		r.Changed("hybrid_servers", "NanoMQ takes the servers in turn; the bridge tries them in the order of the list when the server in use is lost, and then stays, because failback.policy is Never; remove it, and the bridge returns to the first server")
	}
	return tls
}

// backups reads the backup servers, and returns their number.
func (i importer) backups(r *draft.Reader, add func(key, url string, line int)) int {
	n := 0
	for _, key := range []string{"backup_server", "backup_servers", "backup_address"} {
		for _, item := range r.Items(key) {
			url := item.Text
			if server := item.Get("server"); item.Kind == tree.Object && server != nil {
				url = server.Value.Text
				if len(item.Fields) > 1 {
					r.LeftOut(key, "only the key server of a backup server is imported; set the others in spec.remote.backups")
				}
			}
			add(r.Key(key), url, item.Line)
			n++
		}
		if r.Has(key) {
			r.Note(key, "NanoMQ itself ignores this key; the bridge uses it as spec.remote.backups, and returns to the first server when that is stable again")
		}
	}
	return n
}

// server converts the URL of a server.
func (i importer) server(key, url string, line int) (string, bool) {
	kind, rest := scheme(url)
	switch {
	case kind == "quic":
		i.LeftOut(line, key, "the server %s: %s; use its port for mqtt-tcp:// or tls+mqtt-tcp://", url, quicReason)
		return "", false
	case kind == "" && strings.Contains(url, "://"):
		i.LeftOut(line, key, "the scheme of %s is unknown; NanoMQ has mqtt-tcp://, tls+mqtt-tcp:// and mqtt-quic://", v1alpha1.PublicURL(url))
		return "", false
	case kind == "":
		kind = "mqtt"
		if i.aws {
			kind = "mqtts"
		}
	}
	if strings.Contains(rest, "${") {
		i.LeftOut(line, key, "the address %s has a placeholder; write the address into the manifest", rest)
		return "", false
	}
	return kind + "://" + strings.TrimSuffix(rest, "/"), true
}

// forwards reads the topics from local to remote.
func (i importer) forwards(r *draft.Reader) {
	for _, item := range r.Items("forwards") {
		if item.Kind == tree.Text {
			i.addRule(true, item.Line, r.Key("forwards"), v1alpha1.Rule{Filter: item.Text, QoS: ptr.To[int32](2)})
			continue
		}
		t := i.Reader(r.Key("forwards"), item)
		if t.LeaveOutside("local_topic", "remote_topic", "topic", "prefix", "suffix", "qos") {
			continue
		}
		filter, ok := t.Text("local_topic")
		if !ok {
			filter, ok = t.Text("topic")
		}
		target, _ := t.Text("remote_topic")
		if !ok || filter == "" {
			i.LeftOut(item.Line, r.Key("forwards"), "the entry has no local_topic, so NanoMQ ignores it")
			continue
		}
		rule := v1alpha1.Rule{Filter: filter, QoS: ptr.To[int32](2)}
		if qos, ok := t.Int("qos", 0, 2); ok {
			rule.QoS = ptr.To(int32(qos)) //nolint:gosec // 0 to 2
			if qos > 0 {
				t.Changed("qos", "NanoMQ gives every message QoS %d; a rule of this project lowers the QoS of messages to at most %d, and never raises it: publish with QoS %d, or the messages keep their lower QoS", qos, qos, qos)
			}
		}
		if strings.ContainsAny(target, "+#") {
			t.Note("remote_topic", "most releases of NanoMQ do not support wildcards in remote_topic of forwards; the bridge replaces them by the text that local_topic matches")
		}
		i.rule(t, true, rule, target)
	}
}

// subscriptions reads the topics from remote to local.
func (i importer) subscriptions(r *draft.Reader) {
	for _, item := range r.Items("subscription") {
		if item.Kind == tree.Text {
			i.addRule(false, item.Line, r.Key("subscription"), v1alpha1.Rule{Filter: item.Text})
			continue
		}
		t := i.Reader(r.Key("subscription"), item)
		if t.LeaveOutside("local_topic", "remote_topic", "topic", "prefix", "suffix", "qos") {
			continue
		}
		filter, ok := t.Text("remote_topic")
		if !ok {
			filter, ok = t.Text("topic")
		}
		target, _ := t.Text("local_topic")
		if !ok || filter == "" {
			i.LeftOut(item.Line, r.Key("subscription"), "the entry has no remote_topic, so NanoMQ ignores it")
			continue
		}
		rule := v1alpha1.Rule{Filter: filter, QoS: ptr.To[int32](0)}
		if qos, ok := t.Int("qos", 0, 2); ok {
			rule.QoS = ptr.To(int32(qos)) //nolint:gosec // 0 to 2
		} else {
			i.Note(item.Line, r.Key("subscription"), "the entry has no qos, so the rule for %s has QoS 0, the default of NanoMQ", filter)
		}
		i.subscribeOptions(t, &rule)
		i.rule(t, false, rule, target)
	}
}

// subscribeOptions reads the options of a subscription with MQTT 5.
func (i importer) subscribeOptions(t *draft.Reader, rule *v1alpha1.Rule) {
	is5 := ptr.Deref(i.Spec().Remote.ProtocolVersion, "") == v1alpha1.ProtocolVersion5
	if handling, ok := number(t, "retain_handling", 2); ok {
		if is5 {
			rule.RetainHandling = ptr.To([]v1alpha1.RetainHandling{v1alpha1.RetainHandlingSend, v1alpha1.RetainHandlingSendIfNew, v1alpha1.RetainHandlingDoNotSend}[handling])
		} else {
			t.LeftOut("retain_handling", "it needs MQTT 5, but the bridge uses MQTT 3.1.1")
		}
	}
	if published, ok := number(t, "retain_as_published", 1); ok && published == 0 {
		t.Changed("retain_as_published", "the bridge always asks for retain flags as they were published; set retain: Clear in the rule if live messages must not have the flag")
	}
}

// number returns the number under a key, from 0 to highest. NanoMQ ignores true and false.
func number(t *draft.Reader, key string, highest int64) (int64, bool) {
	if text, ok := t.Text(key); ok && (text == "true" || text == "false") {
		t.LeftOut(key, "NanoMQ expects a number, and ignores %s", text)
		return 0, false
	}
	return t.Int(key, 0, highest)
}

// rule completes a rule with the keys that both directions have, and adds it.
func (i importer) rule(t *draft.Reader, out bool, rule v1alpha1.Rule, target string) {
	if retain, ok := number(t, "retain", 2); ok && retain < 2 {
		rule.Retain = ptr.To([]v1alpha1.RetainPolicy{v1alpha1.RetainClear, v1alpha1.RetainSet}[retain])
	}
	prefix, _ := t.Text("prefix")
	suffix, _ := t.Text("suffix")
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		t.Note("prefix", "NanoMQ adds no slash to the prefix %q, and neither does the bridge", prefix)
	}
	if suffix != "" && !strings.HasPrefix(suffix, "/") {
		t.Note("suffix", "NanoMQ adds no slash to the suffix %q, and neither does the bridge", suffix)
	}
	topic, err := draft.Remap(rule.Filter, target)
	if err == nil {
		topic, err = draft.Affixed(prefix, topic, suffix)
	}
	line := t.Line("remote_topic")
	if err != nil {
		i.LeftOut(line, t.Key("remote_topic"), "the rule for %s was left out: %v", rule.Filter, err)
	} else {
		rule.Topic = topic
		i.addRule(out, line, t.Key("remote_topic"), rule)
	}
	t.Rest(map[string]string{"stream_id": quicReason})
}

func (i importer) addRule(out bool, line int, key string, rule v1alpha1.Rule) {
	if strings.Contains(rule.Filter, "${") {
		i.LeftOut(line, key, "the topic %s has a placeholder; write the topic into the manifest", rule.Filter)
		return
	}
	i.AddRule(out, line, key, rule)
}
