// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package emqx

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// legacy reads a bridge of releases before 5.4, with ingress and egress.
func (i importer) legacy(r *draft.Reader) {
	i.side(r)
	if e := r.Object("egress"); e != nil {
		remote := e.Object("remote")
		filter := ""
		if local := e.Object("local"); local != nil {
			filter, _ = local.Text("topic")
			local.Rest(nil)
		}
		switch {
		case remote == nil:
			i.LeftOut(r.Line("egress"), r.Key("egress"), "it has no remote topic")
		case filter == "":
			i.egressOfRules(r.Key("egress"), "bridge:mqtt:"+i.Source, "mqtt:"+i.Source, r.Line("egress"), remote)
		default:
			i.publish(true, filter, remote)
		}
		e.Rest(reasons)
	}
	if in := r.Object("ingress"); in != nil {
		i.ingress(in, "$bridges/mqtt:"+i.Source)
	}
	i.finish(r)
}

// connector reads a connector, and its actions and sources.
func (i importer) connector(r *draft.Reader) {
	i.side(r)
	for _, a := range i.ofConnector("actions") {
		t := i.open("actions", a)
		if t == nil {
			continue
		}
		p := t.Object("parameters")
		filter, _ := t.Text("local_topic")
		switch {
		case p == nil:
			i.LeftOut(a.Line, "actions.mqtt."+a.Key, "it has no parameters")
		case filter == "":
			i.egressOfRules("actions.mqtt."+a.Key, "mqtt:"+a.Key, "mqtt:"+a.Key, a.Line, p)
		default:
			i.publish(true, filter, p)
		}
		t.Rest(reasons)
	}
	for _, a := range i.ofConnector("sources") {
		t := i.open("sources", a)
		if t == nil {
			continue
		}
		if p := t.Object("parameters"); p != nil {
			i.source(p, "$sources/mqtt:"+a.Key, "$bridges/mqtt:"+a.Key)
		}
		t.Rest(reasons)
	}
	i.finish(r)
}

// ofConnector returns the actions or sources of the connector.
func (i importer) ofConnector(section string) []*tree.Field {
	f := i.root.Find(section, "mqtt")
	if f == nil {
		return nil
	}
	var out []*tree.Field
	for _, a := range f.Value.Fields {
		if c := a.Value.Get("connector"); c != nil && c.Value.Text == i.Source {
			out = append(out, a)
		}
	}
	return out
}

// open returns a reader of an action or source, or nil if it is disabled.
func (i importer) open(section string, a *tree.Field) *draft.Reader {
	t := i.Reader(section+".mqtt."+a.Key, a.Value)
	t.Skip("connector", "description", "tags", "created_at", "last_modified_at", "fallback_actions")
	if enabled, ok := t.Bool("enable"); ok && !enabled {
		t.Note("enable", "it is disabled, so its topics are not imported")
		return nil
	}
	return t
}

// ingress reads the topics from remote to local of a bridge before 5.4.
func (i importer) ingress(in *draft.Reader, names ...string) {
	remote := in.Object("remote")
	local := in.Object("local")
	if remote == nil {
		i.LeftOut(i.Line, in.Key(""), "it has no remote topic")
		return
	}
	filter, _ := remote.Text("topic")
	before := len(i.Spec().RemoteToLocal)
	if local != nil && local.Has("topic") {
		i.publish(false, filter, local)
	} else {
		i.sourceOfRules(filter, in.Line("remote"), in.Key("remote"), names)
	}
	i.subscribeQoS(remote, before)
	remote.Rest(reasons)
	in.Rest(reasons)
}

// source reads a source of a connector.
func (i importer) source(p *draft.Reader, names ...string) {
	filter, _ := p.Text("topic")
	before := len(i.Spec().RemoteToLocal)
	i.sourceOfRules(filter, p.Line("topic"), p.Key("topic"), names)
	i.subscribeQoS(p, before)
	p.Rest(reasons)
}

// subscribeQoS limits the QoS of the rules from index first on to the QoS of the subscription.
func (i importer) subscribeQoS(p *draft.Reader, first int) {
	qos, ok := p.Int("qos", 0, 2)
	if !ok {
		return
	}
	for n := range i.Spec().RemoteToLocal[first:] {
		rule := &i.Spec().RemoteToLocal[first+n]
		if rule.QoS == nil || int64(*rule.QoS) > qos {
			rule.QoS = ptr.To(int32(qos)) //nolint:gosec // 0 to 2
		}
	}
}

// publish adds a rule. p has the topic, QoS, retain flag and payload with which messages are
// published.
func (i importer) publish(out bool, filter string, p *draft.Reader) {
	if p.LeaveOutside("topic", "qos") {
		p.Skip("topic", "qos", "retain", "payload")
		return
	}
	topic, _ := p.Text("topic")
	rule := v1alpha1.Rule{Filter: filter}
	template, err := convertTopic(topic)
	if err != nil {
		p.LeftOut("topic", "the rule for %s was left out: %v", filter, err)
		p.Skip("qos", "retain", "payload")
		return
	}
	rule.Topic = template
	i.publishOptions(p, &rule)
	i.AddRule(out, p.Line("topic"), p.Key("topic"), rule)
	p.Rest(reasons)
}

// publishOptions reads the QoS, the retain flag and the payload of published messages.
func (i importer) publishOptions(p *draft.Reader, rule *v1alpha1.Rule) {
	switch qos, ok := p.Text("qos"); {
	case !ok: // EMQX publishes with QoS 1, and the default of a rule is at most QoS 1
	case qos == "${qos}":
		rule.QoS = ptr.To[int32](2)
	case qos == "0" || qos == "1" || qos == "2":
		rule.QoS = ptr.To(int32(qos[0] - '0'))
		if qos != "0" {
			p.Changed("qos", "EMQX gives every message QoS %s; a rule of this project lowers the QoS of messages to at most %s, and never raises it", qos, qos)
		}
	default:
		p.LeftOut("qos", "the rule has a fixed QoS, and cannot compute it from %s", qos)
	}
	switch retain, ok := p.Text("retain"); {
	case !ok:
		rule.Retain = ptr.To(v1alpha1.RetainClear)
	case retain == "${retain}" || retain == "${flags.retain}":
	case retain == "true":
		rule.Retain = ptr.To(v1alpha1.RetainSet)
	case retain == "false":
		rule.Retain = ptr.To(v1alpha1.RetainClear)
	default:
		p.LeftOut("retain", "the rule keeps, sets or clears the flag, and cannot compute it from %s", retain)
	}
	switch payload, ok := p.Text("payload"); {
	case !ok || payload == "":
		p.Changed("payload", "without a payload, EMQX publishes a JSON object with all fields of the message; the bridge publishes the payload as it is")
	case payload != "${payload}":
		p.Changed("payload", "the bridge publishes the payload as it is, and has no templates for it")
	}
}

// placeholder matches the placeholders of EMQX.
var placeholder = regexp.MustCompile(`[$]\{([^}]*)\}`)

// convertTopic converts a topic template.
func convertTopic(topic string) (string, error) {
	for _, m := range placeholder.FindAllStringSubmatch(topic, -1) {
		if m[1] != "topic" {
			return "", fmt.Errorf("the topic of a rule has no placeholder %s; it has ${topic} and ${1}, ${2} for the wildcards of the filter", m[0])
		}
	}
	if topic == "" {
		return "", fmt.Errorf("the topic is missing")
	}
	parts := strings.Split(topic, "${topic}")
	for n, part := range parts {
		text, err := draft.Literal(part)
		if err != nil {
			return "", err
		}
		parts[n] = text
	}
	if topic == "${topic}" {
		return "", nil
	}
	return strings.Join(parts, "${topic}"), nil
}
