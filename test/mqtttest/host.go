// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Host is a bridge-runner process that runs the bridges of a directory.
type Host struct {
	*Runner
}

// HostFile is the entry of a file in the status of a host.
type HostFile struct {
	Namespace, Name, File, Error string
	Status                       *v1alpha1.MQTTBridgeStatus
}

// NewHost returns a host with an empty directory. It does not start the process.
func NewHost(t testing.TB) *Host {
	t.Helper()
	r := newRunner(t, "host", t.TempDir())
	r.flag = "--bridges"
	return &Host{r}
}

// NewRaceHost is like NewHost, but the process has the race detector. A detected race fails the
// test.
func NewRaceHost(t testing.TB) *Host {
	t.Helper()
	h := NewHost(t)
	h.race = true
	return h
}

// StartHost starts a host with these bridges. The file of a bridge is <name>.yaml.
func StartHost(t testing.TB, bridges ...*v1alpha1.MQTTBridge) *Host {
	t.Helper()
	h := NewHost(t)
	for _, b := range bridges {
		h.Put(b)
	}
	h.Start()
	return h
}

// Put writes the file <name>.yaml of a bridge.
func (h *Host) Put(b *v1alpha1.MQTTBridge) {
	h.t.Helper()
	h.PutAs(b.Name+".yaml", b)
}

// PutAs writes the manifest of a bridge to a file of the directory.
func (h *Host) PutAs(file string, b *v1alpha1.MQTTBridge) {
	h.t.Helper()
	h.PutText(file, string(render(h.t, b)))
}

// PutText writes a file of the directory, atomically.
func (h *Host) PutText(file, text string) {
	h.t.Helper()
	next := filepath.Join(h.manifest, "."+file)
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(h.manifest, file)); err != nil {
		h.t.Fatal(err)
	}
}

// Remove removes a file of the directory.
func (h *Host) Remove(file string) {
	h.t.Helper()
	if err := os.Remove(filepath.Join(h.manifest, file)); err != nil {
		h.t.Fatal(err)
	}
}

// Files reads /status.
func (h *Host) Files() ([]HostFile, error) {
	body, err := h.get("/status")
	if err != nil {
		return nil, err
	}
	var out []HostFile
	err = json.Unmarshal(body, &out)
	return out, err
}

// WaitFile waits until ok returns nil for the entry of a file in the status, and returns the entry.
// Without an entry, ok gets a zero entry.
func (h *Host) WaitFile(file string, timeout time.Duration, what string, ok func(HostFile) error) HostFile {
	h.t.Helper()
	var last HostFile
	Eventually(h.t, timeout, file+": "+what, func() error {
		files, err := h.Files()
		if err != nil {
			return err
		}
		last = HostFile{}
		for _, f := range files {
			if f.File == file {
				last = f
			}
		}
		return ok(last)
	})
	return last
}

// WaitConnected waits until both sides of the bridge of a file are connected.
func (h *Host) WaitConnected(file string, timeout time.Duration) HostFile {
	h.t.Helper()
	return h.WaitFile(file, timeout, "connected", func(f HostFile) error {
		if f.Status == nil {
			return fmt.Errorf("no bridge: %s", f.Error)
		}
		return errors.Join(active(f.Status.Local, "local", ""), active(f.Status.Remote, "remote", ""))
	})
}

// WaitBridge waits until ok returns nil for the status of one bridge. With many bridges it costs
// the process less than [Host.WaitFile].
func (h *Host) WaitBridge(b *v1alpha1.MQTTBridge, timeout time.Duration, what string, ok func(v1alpha1.MQTTBridgeStatus) error) {
	h.t.Helper()
	Eventually(h.t, timeout, b.Name+": "+what, func() error {
		body, err := h.get("/status/" + b.Namespace + "/" + b.Name)
		if err != nil {
			return err
		}
		var f HostFile
		if err := json.Unmarshal(body, &f); err != nil {
			return err
		}
		if f.Status == nil {
			return fmt.Errorf("no bridge: %s", f.Error)
		}
		return ok(*f.Status)
	})
}
