// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"image"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A measuredPanel is a panel as the browser shows it.
type measuredPanel struct {
	ID    int
	Box   box
	Texts []struct {
		Kind, Text string
		Box        box
		Cut        bool // if the text does not fit
	}
}

// measure returns the panels of a page, and the width of the page.
func measure(t *testing.T, file string) (panels []measuredPanel, width int) {
	t.Helper()
	text := chromium(t, fmt.Sprintf("--window-size=%d,1000", pageWidth), "--dump-dom", "file://"+file)
	_, text, _ = bytes.Cut(text, []byte(`<pre id="measured">`))
	text, _, _ = bytes.Cut(text, []byte(`</pre>`))
	var out struct {
		Width  int
		Panels []measuredPanel
	}
	decode(t, html.UnescapeString(string(text)), &out)
	return out.Panels, out.Width
}

// takePicture returns a picture of a page.
func takePicture(t *testing.T, file string, height int) *image.RGBA {
	t.Helper()
	picture := filepath.Join(filepath.Dir(file), "picture.png")
	chromium(t, fmt.Sprintf("--window-size=%d,%d", pageWidth, height), "--screenshot="+picture, "file://"+file)
	data, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out := image.NewRGBA(decoded.Bounds())
	draw.Draw(out, out.Bounds(), decoded, image.Point{}, draw.Src)
	return out
}

// chromium runs the browser, which reaches no other host, and returns its output.
func chromium(t *testing.T, args ...string) []byte {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Fatal("the pictures of the dashboards need Chromium: install it (Debian: go -C hack/cluster run . packages)")
	}
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(profile) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{
		"--headless", "--user-data-dir=" + profile, "--disable-gpu", "--no-first-run", "--no-default-browser-check",
		"--no-sandbox",            // Chromium refuses to run as root with it
		"--disable-dev-shm-usage", // /dev/shm of containers is small
		"--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--hide-scrollbars", "--force-device-scale-factor=1", "--host-resolver-rules=MAP * ~NOTFOUND",
	}, args...)...)
	cmd.WaitDelay = 10 * time.Second
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", program, args, err, messages.String())
	}
	return out
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
}
