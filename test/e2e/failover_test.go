// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

func TestBridge_Applied_BecomesReadyAndIsShownByKubectl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	lines := strings.Split(strings.TrimSpace(w.kubectl("get", "mqb")), "\n")
	if got, want := strings.Fields(lines[0]), "NAME READY LOCAL REMOTE ROLE SINCE SWITCHES REASON AGE"; strings.Join(got, " ") != want {
		t.Errorf("the columns are %v, want %s", got, want)
	}
	row := strings.Fields(lines[1])
	if len(row) != 9 || row[0] != bridgeName || row[1] != "True" || row[3] != w.primary.Name || row[4] != "Primary" || row[6] != "0" || row[7] != "Forwarding" {
		t.Errorf("the row is %v, want the bridge True on the primary %s without switches", row, w.primary.Name)
	}
	w.stream()
	w.finish()
}

// shown is a line of kubectl get -w and the time at which it was printed.
type shown struct {
	text string
	at   time.Time
}

// watch collects the lines of kubectl get -w until the test ends.
func (w *world) watch() func() []shown {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := shared.KubectlCommand(ctx, "get", "mqb", "-n", w.namespace, "-w")
	out, err := cmd.StdoutPipe()
	must(w.t, err)
	must(w.t, cmd.Start())
	var (
		mu    sync.Mutex
		lines []shown
		done  = make(chan struct{})
	)
	go func() {
		defer close(done)
		for s := bufio.NewScanner(out); s.Scan(); {
			mu.Lock()
			lines = append(lines, shown{s.Text(), time.Now()})
			mu.Unlock()
		}
		_ = cmd.Wait() // an error is expected: cancel kills kubectl
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
	return func() []shown {
		mu.Lock()
		defer mu.Unlock()
		return append([]shown(nil), lines...)
	}
}

// find waits for a line that contains all the words, and returns the first such line.
func (w *world) find(lines func() []shown, words ...string) shown {
	w.t.Helper()
	var found shown
	w.eventually(eventTimeout, func() error {
		for _, line := range lines() {
			missing := false
			for _, word := range words {
				missing = missing || !strings.Contains(line.text, word)
			}
			if !missing {
				found = line
				return nil
			}
		}
		return missingLine{words}
	})
	return found
}

type missingLine struct{ words []string }

func (m missingLine) Error() string { return "no line with " + strings.Join(m.words, ", ") }

func TestFailover_PrimaryKilled_IsShownWithinASecondAndLosesNothing(t *testing.T) {
	t.Parallel()
	for _, version := range []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5} {
		t.Run(string(version), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.bridge.Spec.Local.ProtocolVersion, w.bridge.Spec.Remote.ProtocolVersion = &version, &version
			w.killPrimary()
		})
	}
}

// killPrimary kills the primary under load, and checks the status and the events.
func (w *world) killPrimary() {
	t := w.t
	w.ready()
	w.stream()
	lines := w.watch()
	w.find(lines, "Primary")
	killed, err := w.primary.Kill(t.Context())
	must(t, err)
	first, err := w.collector.WaitFrom(w.backup.Name, killed, eventTimeout)
	must(t, err)
	line := w.find(lines, "True", w.backup.Name, "Backup")
	t.Logf("from the order to kill the primary to the first message through the backup %s, to kubectl's line %s", first.Time.Sub(killed), line.at.Sub(killed))
	if late := line.at.Sub(first.Time); late > time.Second {
		t.Errorf("kubectl showed the failover %s after the first message, want within 1 s", late)
	}
	want := regexp.MustCompile(`remote side failed over from cloud-1 to cloud-2: (\d+\.\d s without acknowledgement, then |\d+ ms without acknowledgement, then )?\d+ ms without a server: [A-Z][A-Za-z]+`)
	if note := w.event(v1alpha1.EventFailedOver); !want.MatchString(note) {
		t.Errorf("the event is %q, want source, target, duration and cause: %s", note, want)
	}
	w.condition(v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonActiveOnBackup)
	w.flow(200)
	w.finish()
}

func TestOutage_AllServersDown_IsShownAndLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	w.stream()
	servers := []*cluster.Broker{w.backup, w.primary}
	for _, b := range servers {
		// The Service excludes the broker until the collector has subscribed again, because these
		// brokers have no persistence.
		must(t, b.Hide(t.Context()))
		_, err := b.Kill(t.Context())
		must(t, err)
	}
	w.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotConnected)
	if note := w.event(v1alpha1.EventAllServersDown); !strings.Contains(note, w.primary.URL()) || !strings.Contains(note, w.backup.URL()) {
		t.Errorf("the event is %q, want the names of both servers", note)
	}
	if row := w.kubectl("get", "mqb", "--no-headers"); !strings.Contains(row, "False") || strings.Contains(row, "mqtt://") {
		t.Errorf("kubectl shows %q, want False and no active server", row)
	}
	for _, b := range servers {
		must(t, b.Start(t.Context()))
		must(t, w.collector.WaitSubscribed(b.Name, 2, eventTimeout))
	}
	for _, b := range servers {
		must(t, b.Show(t.Context()))
	}
	w.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)
	t.Log(w.event(v1alpha1.EventRecovered))
	w.flow(200)
	w.finish()
}

func TestStatus_RunnerPodKilled_ShowsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	w.stream()
	lines := w.watch()
	w.find(lines, "True")
	pod := w.pod()
	w.kubectl("delete", "pod", pod.Name, "--grace-period=0", "--force")
	w.find(lines, "False")
	w.kubectl("wait", "mqttbridge/"+bridgeName, "--for=condition=Ready", "--timeout=60s")
	if again := w.pod(); again.UID == pod.UID {
		t.Errorf("pod %s still exists", again.Name)
	}
	w.flow(200)
	w.finish()
}
