// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// spec returns a spec with a rule in each direction that form no loop.
func spec(local, remote v1alpha1.ProtocolVersion) *v1alpha1.MQTTBridgeSpec {
	return &v1alpha1.MQTTBridgeSpec{
		Local:         v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://local"}, ProtocolVersion: &local},
		Remote:        v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://remote"}, ProtocolVersion: &remote},
		LocalToRemote: []v1alpha1.Rule{{Filter: "up/#"}},
		RemoteToLocal: []v1alpha1.Rule{{Filter: "down/#"}},
	}
}

func TestValidateVersions_SettingsThatNeedMQTT5_RefusedOn311(t *testing.T) {
	const v3, v5 = v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5
	properties := []v1alpha1.UserProperty{{Name: "a", Value: "b"}}
	for _, c := range []struct {
		name   string
		change func(s *v1alpha1.MQTTBridgeSpec)
		// local and remote report whether the setting needs MQTT 5 on the side.
		local, remote bool
	}{
		{"localToRemote with user properties", func(s *v1alpha1.MQTTBridgeSpec) { s.LocalToRemote[0].UserProperties = properties }, false, true},
		{"remoteToLocal with user properties", func(s *v1alpha1.MQTTBridgeSpec) { s.RemoteToLocal[0].UserProperties = properties }, true, false},
		{"localToRemote with retain handling", func(s *v1alpha1.MQTTBridgeSpec) {
			s.LocalToRemote[0].RetainHandling = ptr.To(v1alpha1.RetainHandlingDoNotSend)
		}, true, false},
		{"remoteToLocal with retain handling", func(s *v1alpha1.MQTTBridgeSpec) {
			s.RemoteToLocal[0].RetainHandling = ptr.To(v1alpha1.RetainHandlingSend)
		}, false, true},
		{"a hop count", func(s *v1alpha1.MQTTBridgeSpec) { s.Delivery = &v1alpha1.Delivery{MaxHops: ptr.To[int32](1)} }, true, true},
		{"notifications", func(s *v1alpha1.MQTTBridgeSpec) { s.Notifications = &v1alpha1.Notifications{Topic: "bridges/a"} }, false, false},
	} {
		for _, local := range []v1alpha1.ProtocolVersion{v3, v5} {
			for _, remote := range []v1alpha1.ProtocolVersion{v3, v5} {
				s := spec(local, remote)
				c.change(s)
				refused := c.local && local != v5 || c.remote && remote != v5
				if errs := validateSpec(s, nil); len(errs) > 0 != refused {
					t.Errorf("%s, local %s, remote %s: refused %v: %v", c.name, local, remote, !refused, errs)
				}
			}
		}
	}
}

func TestValidate_ManifestWithDefaults_AcceptedForBothVersions(t *testing.T) {
	for _, v := range []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5} {
		b := &v1alpha1.MQTTBridge{Spec: *spec(v, v)}
		b.Spec.Notifications = &v1alpha1.Notifications{Topic: "bridges/a"}
		b = b.WithDefaults()
		if errs := validateSpec(&b.Spec, nil); len(errs) > 0 {
			t.Errorf("%s: %v", v, errs)
		}
		if *b.Spec.Notifications.QoS != 1 || *b.Spec.Remote.BridgeMode != v1alpha1.BridgeModeAuto || b.Spec.Delivery.MaxHops != nil {
			t.Errorf("%s: defaults: %+v", v, b.Spec)
		}
	}
}

func TestValidate_UserPropertiesAndNotifications_Limited(t *testing.T) {
	long := strings.Repeat("a", 1025)
	for _, c := range []struct {
		name string
		n    int
		p    v1alpha1.UserProperty
		ok   bool
	}{
		{"the largest number", 16, v1alpha1.UserProperty{Name: "a"}, true},
		{"one too many", 17, v1alpha1.UserProperty{Name: "a"}, false},
		{"longest name and value", 1, v1alpha1.UserProperty{Name: long[:256], Value: long[:1024]}, true},
		{"name too long", 1, v1alpha1.UserProperty{Name: long[:257]}, false},
		{"value too long", 1, v1alpha1.UserProperty{Name: "a", Value: long}, false},
		{"a value with a tab", 1, v1alpha1.UserProperty{Name: "a", Value: "\t"}, false},
		{"letters beyond ASCII", 1, v1alpha1.UserProperty{Name: "ü\u0085", Value: "日本"}, true},
		{"the hop count", 1, v1alpha1.UserProperty{Name: "mqttbridge-hops", Value: "0"}, false},
	} {
		properties := make([]v1alpha1.UserProperty, c.n)
		for i := range properties {
			properties[i] = c.p
		}
		if errs := validateUserProperties(properties, nil); len(errs) == 0 != c.ok {
			t.Errorf("%s: %v", c.name, errs)
		}
	}
	for _, c := range []struct {
		topic string
		qos   int32
		ok    bool
	}{
		{"bridges/plant1/state", 1, true},
		{long[:512], 0, true},
		{long[:513], 1, false},
		{"", 1, false},
		{"a/#", 1, false},
		{"+", 1, false},
		{"a\x00", 1, false},
		{"$SYS/a", 1, false},
		{"a/$b", 1, true},
		{"a", 2, false},
		{"a", -1, false},
	} {
		if errs := validateNotifications(&v1alpha1.Notifications{Topic: c.topic, QoS: &c.qos}, nil); len(errs) == 0 != c.ok {
			t.Errorf("topic %q, QoS %d: %v", c.topic, c.qos, errs)
		}
	}
}

func TestDirections_TopicOfNotifications_ExcludedFromAllRules(t *testing.T) {
	s := spec(v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion311)
	s.LocalToRemote[0].Exclude = []string{"up/debug/#"}
	s.Notifications = &v1alpha1.Notifications{Topic: "up/state"}
	localToRemote, remoteToLocal, err := Directions(s)
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]bool{"up/state": true, "up/debug/x": true, "up/other": false} {
		if got := localToRemote[0].Excludes(topic); got != want {
			t.Errorf("%s excluded: %t", topic, got)
		}
	}
	if !remoteToLocal[0].Excludes("up/state") {
		t.Error("the rule of remoteToLocal forwards it")
	}
}
