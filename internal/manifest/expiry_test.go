// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"math"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestParseSessionExpiry_Texts_ReturnSecondsOrAreRefused(t *testing.T) {
	for text, want := range map[v1alpha1.SessionExpiry]uint32{
		"Never":          math.MaxUint32,
		"1s":             1,
		"90m":            90 * 60,
		"72h30m":         (72*60 + 30) * 60,
		"1h0m5s":         3605,
		"4294967294s":    math.MaxUint32 - 1,
		"1193046h28m14s": math.MaxUint32 - 1,
		// Refused:
		"": 0, "0s": 0, "0h0m0s": 0, "4294967295s": 0, "1193046h28m15s": 0, "9999999999h": 0, "99999999999s": 0,
		"60": 0, "1d": 0, "1.5h": 0, "-1s": 0, "5m1h": 0, "1h 5m": 0, "never": 0, "500ms": 0,
	} {
		got, err := ParseSessionExpiry(text)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
		if want == 0 || text == v1alpha1.SessionExpiryNever {
			continue
		}
		var d metav1.Duration // the form is a part of the form of durations in Kubernetes
		if err := d.UnmarshalJSON([]byte(`"` + string(text) + `"`)); err != nil || d.Duration != time.Duration(want)*time.Second {
			t.Errorf("%q as a duration: %s, %v", text, d.Duration, err)
		}
	}
}
