// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestUnforwardable_DeadLettersThatARuleForwards_Refused(t *testing.T) {
	const (
		up   = "the filter of localToRemote[0] (\"a/#\") matches this topic"
		down = "the filter of remoteToLocal[0] (\"b/+/c\") matches this topic"
	)
	for topic, want := range map[string]string{
		"a":              up, // a/# matches the parent level
		"a/b":            up,
		"a/b/c/d":        up,
		"a/dead/1":       "", // excluded
		"a/dead":         "",
		"b/x/c":          down,
		"b/x/d":          "",
		"b//c":           down,
		"B/x/c":          "",
		"plant/a/b":      "",
		"ü/letters dead": "",
		"":               "dead letters need a topic",
		"a\x00b":         "or control characters",
		"x/\x7f":         "or control characters",
		"$dead":          "topics that start with $",
		"x/+/y":          "the wildcards + or #",
		"x#":             "the wildcards + or #",
		"state":          "the same topic",

		strings.Repeat("d", 513): "may not be more than 512",
	} {
		s := &v1alpha1.MQTTBridgeSpec{
			Local:         v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://local"}},
			Remote:        v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://remote"}},
			LocalToRemote: []v1alpha1.Rule{{Filter: "a/#", Topic: "up/${topic}", Exclude: []string{"a/dead/#"}}},
			RemoteToLocal: []v1alpha1.Rule{{Filter: "b/+/c"}},
			Notifications: &v1alpha1.Notifications{Topic: "state"},
			Delivery:      &v1alpha1.Delivery{Unforwardable: &v1alpha1.Unforwardable{DeadLetter: &v1alpha1.DeadLetter{Topic: topic}}},
		}
		errs := validateSpec(s, nil)
		switch {
		case want == "" && len(errs) > 0:
			t.Errorf("%q is refused: %v", topic, errs)
		case want != "" && (len(errs) != 1 || !strings.Contains(errs[0].Error(), want)):
			t.Errorf("%q: %v\nwant: %s", topic, errs, want)
		}
	}
}
