// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package count

import "testing"

func TestOf_Numbers_HaveTheFormOfTheNoun(t *testing.T) {
	for _, c := range []struct {
		n          int
		noun, want string
	}{
		{0, "message", "0 messages"},
		{1, "message", "1 message"},
		{1000, "message", "1000 messages"},
		{1, "more switch", "1 more switch"},
		{2, "more switch", "2 more switches"},
	} {
		if got := Of(c.n, c.noun); got != c.want {
			t.Errorf("%d %s: %q, want %q", c.n, c.noun, got, c.want)
		}
	}
}
