// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestHost_FilesExchangeTheirBridges_EachIsAppliedWithoutANewConnection(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint(n, " files"), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			h := mqtttest.NewHost(t)
			var names []string
			for i := range n {
				names = append(names, string(rune('a'+i)))
				h.Put(s.bridge(names[i]))
			}
			h.Start()
			since := map[string]metav1.Time{}
			for _, name := range names {
				since[name] = h.WaitConnected(name+".yaml", eventTimeout).Status.Remote.Active.Since
			}
			for i, name := range names {
				b := s.bridge(name)
				b.Generation = 7
				b.Spec.LocalToRemote = append(b.Spec.LocalToRemote, v1alpha1.Rule{Filter: "changed/" + name})
				h.PutAs(names[(i+1)%n]+".yaml", b)
			}
			for i, name := range names {
				file := names[(i+1)%n] + ".yaml"
				h.WaitFile(file, eventTimeout, "has the bridge "+name, func(f mqtttest.HostFile) error {
					if f.Name != name || f.Error != "" {
						return fmt.Errorf("it has %s: %s", f.Name, f.Error)
					}
					return runs(7)(*f.Status)
				})
				if got := h.WaitConnected(file, eventTimeout).Status.Remote.Active.Since; got != since[name] {
					t.Errorf("the connection of the bridge %s was replaced at %v", name, got)
				}
				s.send("changed/" + name)
			}
		})
	}
}

// The content of the file that waits for another bridge becomes invalid, and then the bridge is free.
func TestHost_FileThatWaitedIsInvalid_IsReportedOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := mqtttest.NewHost(t)
	h.Put(s.bridge("a"))
	h.PutAs("again.yaml", s.bridge("a"))
	h.Start()
	h.WaitFile("again.yaml", eventTimeout, "refused", refusedWith("already in the file a.yaml"))
	h.PutText("again.yaml", "kind: [")
	h.WaitFile("again.yaml", eventTimeout, "refused", refusedWith("again.yaml"))
	h.Remove("a.yaml")
	h.WaitFile("a.yaml", eventTimeout, "removed", noEntry)
	h.Put(s.bridge("b"))
	h.WaitConnected("b.yaml", eventTimeout)
	n := 0
	for line := range strings.Lines(h.Log()) {
		if strings.Contains(line, "the manifest is refused") && !strings.Contains(line, "already in the file") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the log reports the invalid file %d times, want once", n)
	}
}
