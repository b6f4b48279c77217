// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the expected outputs")

// golden compares an output with a file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; `go test -update` writes it. Output:\n%s", path, got)
	}
}

func TestView_Table_IsSortedByTrouble(t *testing.T) {
	v := exampleView()
	v.Notes = []string{"no rates and backlog: the right to get pods/proxy in the namespace south is missing"}
	for file, style := range map[string]Style{
		"table.txt":  {Now: now, Namespaces: true},
		"wide.txt":   {Now: now, Namespaces: true, Wide: true},
		"narrow.txt": {Now: now, Width: 110, Height: 8},
	} {
		var out bytes.Buffer
		v.WriteTable(&out, style)
		golden(t, filepath.Join("testdata", file), out.String())
		for line := range strings.Lines(out.String()) {
			if n := len(strings.TrimSuffix(line, "\n")); style.Width > 0 && n > style.Width {
				t.Errorf("%s: a line has %d characters: %s", file, n, line)
			}
		}
	}
	got := make([]string, 0, len(v.Bridges))
	for i := range v.Bridges {
		got = append(got, string(v.Bridges[i].State)+" "+v.Bridges[i].Name)
	}
	want := []string{"NotReady kiln", "NotReady boiler", "Stalled pumps", "Degraded paint-shop", "Reconciling warehouse", "Ready press-line", "Suspended old-line"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestView_Detail_ShowsSidesMessagesAndRunners(t *testing.T) {
	for _, name := range []string{"paint-shop", "boiler", "kiln"} {
		i := slices.IndexFunc(examples, func(e example) bool { return e.name == name })
		v := View{Bridges: []Bridge{examples[i].bridge()}}
		var out bytes.Buffer
		v.WriteDetail(&out, Style{Now: now})
		golden(t, filepath.Join("testdata", "detail-"+name+".txt"), out.String())
	}
}

func TestOf_Conditions_DecideTheState(t *testing.T) {
	ready, notReady := forwarding(time.Hour), condition(v1alpha1.ConditionReady, false, v1alpha1.ReasonNotConnected, down, time.Minute)
	unknown := condition(v1alpha1.ConditionReady, false, v1alpha1.ReasonNodeLost, "the node does not answer", time.Minute)
	unknown.Status = metav1.ConditionUnknown
	isTrue := func(kind, reason string) metav1.Condition { return condition(kind, true, reason, "m", 2*time.Minute) }
	for name, c := range map[string]struct {
		conditions []metav1.Condition
		change     func(*v1alpha1.MQTTBridge)
		state      State
		reason     string
	}{
		"new":                        {nil, nil, NotReady, "Unknown"},
		"forwards":                   {[]metav1.Condition{ready}, nil, Ready, v1alpha1.ReasonForwarding},
		"down":                       {[]metav1.Condition{notReady}, nil, NotReady, v1alpha1.ReasonNotConnected},
		"node lost":                  {[]metav1.Condition{unknown}, nil, NotReady, v1alpha1.ReasonNodeLost},
		"stalled, not ready":         {[]metav1.Condition{notReady, isTrue(v1alpha1.ConditionStalled, v1alpha1.ReasonPodFailing)}, nil, NotReady, v1alpha1.ReasonPodFailing},
		"stalled, ready":             {[]metav1.Condition{ready, isTrue(v1alpha1.ConditionStalled, v1alpha1.ReasonInvalidSpec), isTrue(v1alpha1.ConditionDegraded, v1alpha1.ReasonActiveOnBackup)}, nil, Stalled, v1alpha1.ReasonInvalidSpec},
		"degraded":                   {[]metav1.Condition{ready, isTrue(v1alpha1.ConditionDegraded, v1alpha1.ReasonNoStandby)}, nil, Degraded, v1alpha1.ReasonNoStandby},
		"not seen":                   {[]metav1.Condition{ready}, func(b *v1alpha1.MQTTBridge) { b.Generation = 9 }, Reconciling, v1alpha1.ReasonProgressing},
		"suspended":                  {[]metav1.Condition{isTrue(v1alpha1.ConditionSuspended, v1alpha1.ReasonSuspended)}, nil, Suspended, v1alpha1.ReasonSuspended},
		"suspended, draining":        {[]metav1.Condition{condition(v1alpha1.ConditionReady, false, v1alpha1.ReasonDraining, "m", 0)}, nil, Suspended, v1alpha1.ReasonDraining},
		"suspended, invalid":         {[]metav1.Condition{isTrue(v1alpha1.ConditionSuspended, v1alpha1.ReasonSuspended), isTrue(v1alpha1.ConditionStalled, v1alpha1.ReasonInvalidSpec)}, nil, NotReady, v1alpha1.ReasonInvalidSpec},
		"deleted":                    {[]metav1.Condition{notReady}, func(b *v1alpha1.MQTTBridge) { b.DeletionTimestamp = &metav1.Time{Time: now} }, Deleting, v1alpha1.ReasonNotConnected},
		"deleted, without a status":  {nil, func(b *v1alpha1.MQTTBridge) { b.DeletionTimestamp = &metav1.Time{Time: now} }, Deleting, ""},
		"update waits for a window":  {[]metav1.Condition{ready, isTrue(v1alpha1.ConditionUpdateScheduled, v1alpha1.ReasonOutsideWindow)}, nil, Ready, v1alpha1.ReasonForwarding},
		"condition of an other kind": {[]metav1.Condition{ready, isTrue("Other", "Other")}, nil, Ready, v1alpha1.ReasonForwarding},
	} {
		e := example{namespace: "n", name: "b", conditions: c.conditions, change: c.change}
		if got := e.bridge(); got.State != c.state || got.Reason != c.reason {
			t.Errorf("%s: %s, %s; want %s, %s", name, got.State, got.Reason, c.state, c.reason)
		}
	}
}

func TestDetail_SwitchFromHealthyServer_SaysHowLongNothingWasPublished(t *testing.T) {
	got := describeSwitch(&v1alpha1.FailoverRecord{
		From: "cloud-a", To: "cloud-b", Reason: v1alpha1.ReasonSwitchRequested,
		DurationMilliseconds: ptr.To[int64](3), Drained: ptr.To[int64](2), Resent: ptr.To[int64](0),
	})
	if want := "from cloud-a to cloud-b, SwitchRequested, no messages were published for 3 ms, 2 messages drained, 0 messages resent"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Servers write a part of the messages. They must not control the terminal of the user.
func TestView_ControlCharacters_AreReplaced(t *testing.T) {
	const attack = "\x1b]0;title\x07\x1b[2Jfaked\r\nReady \u009b1m"
	e := example{
		namespace: "n", name: "b", rates: &[2]float64{1, 1}, conditions: []metav1.Condition{condition(v1alpha1.ConditionReady, false, v1alpha1.ReasonNotConnected, attack, 0)},
		change: func(b *v1alpha1.MQTTBridge) {
			b.Status.Remote.Active.Name = attack
			b.Status.Remote.Servers[0].LastError = &v1alpha1.ServerError{Reason: attack, Message: attack}
			b.Status.Remote.LastFailover = &v1alpha1.FailoverRecord{From: attack, To: attack, Reason: attack}
			b.Status.Remote.Shortfalls = []v1alpha1.Shortfall{{Reason: attack, Message: attack}}
			b.Status.Remote.RequestedSwitch = &v1alpha1.RequestedSwitch{Server: attack, Message: attack}
			b.Status.Remote.ClientID = attack
			b.Status.Runners[0].Version = attack
			b.Status.Runners[0].Refused = &v1alpha1.RefusedManifest{Message: attack}
			b.Status.LastTakeover = &v1alpha1.TakeoverRecord{From: attack, To: "p", Reason: attack}
			b.Status.Unforwardable = &v1alpha1.UnforwardableStatus{LocalToRemote: &v1alpha1.UnforwardableMessage{Topic: attack, Reason: attack, Message: attack}}
			b.Status.Buffer = &v1alpha1.BufferStatus{LocalToRemote: &v1alpha1.BacklogStatus{State: v1alpha1.BacklogFull, Message: attack}}
		},
	}
	v := View{Bridges: []Bridge{e.bridge()}, Notes: []string{attack}}
	var out bytes.Buffer
	v.WriteTable(&out, Style{Now: now, Wide: true})
	v.WriteDetail(&out, Style{Now: now})
	WriteEvents(&out, []corev1.Event{{Message: attack, Reason: attack, Type: attack}}, Style{Now: now})
	for _, r := range strings.ReplaceAll(out.String(), "\n", "") {
		if r < ' ' || r == 0x9b {
			t.Fatalf("the output has the character %q:\n%q", r, out.String())
		}
	}
}

func TestView_JSON_HasNumbersOnlyIfKnown(t *testing.T) {
	data, err := json.Marshal(exampleView())
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Bridges []map[string]any }
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	for _, b := range got.Bridges {
		_, hasNumbers := b["localToRemote"]
		_, hasReason := b["unknown"]
		if hasNumbers == hasReason {
			t.Errorf("%s: numbers %t, reason %t", b["name"], hasNumbers, hasReason)
		}
	}
}

func TestNumber_OfAnySize_HasAtMostFourDigits(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.04: "0.0", 3.25: "3.2", 12: "12", 99.94: "99.9", 412.4: "412", 9999: "9999", 18230: "18k", 1.25e6: "1.2M", 2.5e7: "25M"} {
		if got := number(n); got != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
}
