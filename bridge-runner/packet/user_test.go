// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"runtime"
	"strings"
	"testing"
)

func TestUserProperties_AddAndRemove_KeepsOrder(t *testing.T) {
	list := func(u UserProperties) string {
		var b strings.Builder
		for name, value := range u.All() {
			b.WriteString(name + "=" + value + " ")
		}
		return b.String()
	}
	u := UserProperties("").With(UserProperty{"a", "1"}, UserProperty{"b", ""}, UserProperty{"a", "2"}, UserProperty{"", "3"})
	same(t, list(u), "a=1 b= a=2 =3 ")
	same(t, list(u), "a=1 b= a=2 =3 ") // iterating changes nothing
	same(t, list(u.Without("a")), "b= =3 ")
	same(t, list(u.Without("b")), "a=1 a=2 =3 ")
	same(t, list(u.Without("")), "a=1 b= a=2 ")
	same(t, u.Without("c"), u)
	same(t, list(u.Without("a").With(UserProperty{"c", "4"})), "b= =3 c=4 ")
	long := strings.Repeat("x", 1<<16)
	same(t, list(u.Without("a").With(UserProperty{long, long})), "b= =3 "+long[1:]+"="+long[1:]+" ")
	for range u.All() {
		break
	}
}

// As strings, two million properties would use 64 MB.
func TestPublish_ManyUserProperties_UsesNoMoreMemoryThanPacket(t *testing.T) {
	all := strings.Repeat("\x26\x00\x00\x00\x00", 2_000_000)
	for name, section := range map[string]string{"together": all, "apart": all[:5_000_000] + "\x03\x00\x01t" + all[5_000_000:]} {
		body := "\x00\x01a" + string(appendVarint(nil, len(section))) + section
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, err := DecodePublish(V5, 0, body)
		runtime.ReadMemStats(&after)
		if err != nil || p.Faults != 0 || len(p.Properties.User) != len(all) {
			t.Errorf("%s: %d bytes of %d, faults: %s, %v", name, len(p.Properties.User), len(all), p.Faults, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > uint64(len(all)+100_000) {
			t.Errorf("%s: allocated %d bytes for properties of %d", name, n, len(all))
		}
	}
}
