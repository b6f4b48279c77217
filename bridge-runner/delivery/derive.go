// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// applyRule returns the topic under which a rule publishes a message that its filter matches,
// or the cause for which the rule does not publish it.
func applyRule(r *manifest.Rule, in *session.Inbound) (topic, cause string) {
	if r.Excludes(in.Topic) {
		return "", DropExcluded
	}
	if tooManyHops(r, in.Properties) {
		return "", DropTooManyHops
	}
	topic, ok := r.Mapping.Map(in.Topic)
	if !ok {
		return "", DropInvalidTopic
	}
	return topic, ""
}

// derive returns the message that a rule publishes under a topic for a received message.
func derive(r *manifest.Rule, in *session.Inbound, topic string) session.Message {
	return session.Message{
		Topic:      topic,
		Payload:    in.Payload,
		QoS:        min(in.QoS, r.QoS),
		Retain:     retain(r.Retain, in.Retain),
		Properties: properties(r, in.Properties),
	}
}

// Derived is the result of one rule for a message.
type Derived struct {
	// Rule is the index of the rule.
	Rule int
	// Cause is the cause for which the rule does not pass the message on. If it is empty, Message is
	// valid.
	Cause string
	// Message is the message that the rule publishes on the destination.
	Message session.Message
}

// Derive returns the results of the rules whose filters match a message, in the order of the
// rules. A [Pipe] forwards such a message in the same way, if it has a destination and room.
func Derive(rules []manifest.Rule, in *session.Inbound) []Derived {
	var out []Derived
	for i := range rules {
		r := &rules[i]
		if !r.Filter.Match(in.Topic) {
			continue
		}
		d := Derived{Rule: i}
		var topic string
		if topic, d.Cause = applyRule(r, in); d.Cause == "" {
			d.Message = derive(r, in, topic)
		}
		out = append(out, d)
	}
	return out
}
