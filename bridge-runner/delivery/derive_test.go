// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"slices"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

func TestDerive_RulesOfMessage_ReturnsOneResultPerMatchingRule(t *testing.T) {
	all := rules(t,
		v1alpha1.Rule{Filter: "up/#", Topic: "${1}", QoS: ptr.To[int32](0), Retain: ptr.To(v1alpha1.RetainSet)},
		v1alpha1.Rule{Filter: "other/#"},
		v1alpha1.Rule{Filter: "up/+", Exclude: []string{"up/a"}},
		v1alpha1.Rule{Filter: "+/a", Topic: "two/${topic}", QoS: ptr.To[int32](2), Retain: ptr.To(v1alpha1.RetainClear)},
	)
	for _, c := range []struct {
		topic string
		want  []Derived
	}{
		{"none", nil},
		{"up/a", []Derived{
			{Rule: 0, Message: session.Message{Topic: "a", Payload: "x", Retain: true}},
			{Rule: 2, Cause: DropExcluded},
			{Rule: 3, Message: session.Message{Topic: "two/up/a", Payload: "x", QoS: 1}},
		}},
		{"up/$SYS", []Derived{
			{Rule: 0, Cause: DropInvalidTopic},
			{Rule: 2, Message: session.Message{Topic: "up/$SYS", Payload: "x", QoS: 1, Retain: true}},
		}},
	} {
		in := &session.Inbound{Publish: packet.Publish{Topic: c.topic, Payload: "x", QoS: 1, Retain: true}}
		if got := Derive(all, in); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.topic, got, c.want)
		}
	}
}
