// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"fmt"
	"image/png"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	image       = "../../docs/images/runner-page.png"
	imageWidth  = 1280
	imageHeight = 1300
)

func TestPage_PrimaryAndThenRunnerDie_ShowsIt(t *testing.T) {
	start := func(name string) *mqtttest.Broker {
		return mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, Persistence: true})
	}
	local, east, west := start("plant-broker"), start("cloud-east"), start("cloud-west")
	runner := mqtttest.StartRunner(t, manifest("to-cloud", local.URL(), "cloud-east", east.URL(), "cloud-west", west.URL()))
	mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "site/secret-topic", QoS: 1, Rate: 50, Size: 200})
	tb := open(t, runner, "/")
	tb.setScreen(imageWidth, imageHeight, false)
	tb.setColorScheme("light")
	tb.waitText("plant/to-cloud", "Forwarding", "Connected to plant-broker, primary", "Connected to cloud-east, primary")
	tb.waitRow("order of preference", "cloud-west", "Backup 1", "Standby")
	wantRate(tb)

	east.Kill()
	tb.waitText("Forwarding, with problems", "Connected to cloud-west, backup")
	tb.waitRow("order of preference", "cloud-east", "Primary", "Failed", "ConnectionRefused: ")
	row := tb.waitRow("The latest first", "remote", "cloud-east", "cloud-west", " ms")
	if gap := row[len(row)-2]; !regexp.MustCompile(`^(< )?\d+ ms$`).MatchString(gap) {
		t.Errorf("the gap is %q in %q", gap, row)
	}
	wantChange(tb, "Remote side: cloud-west")
	wantRate(tb)
	if strings.Contains(tb.text(), "secret-topic") {
		t.Error("the page shows the topic of a message")
	}
	takeScreenshot(tb)

	tb.setUnreachable(true)
	runner.Kill()
	tb.waitText("The runner does not answer. This page shows an earlier state", "Connected to cloud-west, backup")
	wantAlert(tb, "The runner does not answer")
	runner.Start()
	runner.WaitActive("cloud-west", patience)
	eventually(t, "the page shows the new runner", func() error {
		if shown := tb.text(); strings.Contains(shown, "does not answer") || !strings.Contains(shown, "There was no switch since the runner started") {
			return fmt.Errorf("%s", shown)
		}
		return nil
	})
	tb.setUnreachable(false)
	tb.waitText("Connected to cloud-west, backup")
}

// wantRate waits until the page shows about the rate of the stream.
func wantRate(tb *tab) {
	tb.t.Helper()
	eventually(tb.t, "the page shows the rate", func() error {
		for _, row := range tb.rows("Rates and counts") {
			var rate float64
			if _, err := fmt.Sscan(row[1], &rate); row[0] == "local to remote" && err == nil && rate > 25 && rate < 75 {
				return nil
			}
		}
		return fmt.Errorf("the rows are %q", tb.rows("Rates and counts"))
	})
}

// wantChange fails unless the page has reported a change of the state to screen readers.
func wantChange(tb *tab, text string) {
	tb.t.Helper()
	var change string
	tb.evaluate(`document.querySelector("[role=status]").textContent`, &change)
	if !strings.Contains(change, text) {
		tb.t.Errorf("screen readers read %q, want %q", change, text)
	}
}

func wantAlert(tb *tab, text string) {
	tb.t.Helper()
	var alert string
	tb.evaluate(`document.querySelector("[role=alert]").textContent`, &alert)
	if !strings.Contains(alert, text) {
		tb.t.Errorf("the alert is %q, want %q", alert, text)
	}
}

// takeScreenshot writes the image of the documentation with -screenshot. Otherwise it checks that the
// documentation has an image of the same size, and that a new image can be made.
func takeScreenshot(tb *tab) {
	tb.t.Helper()
	data := tb.screenshot()
	if *screenshot {
		if err := os.WriteFile(image, data, 0o600); err != nil {
			tb.t.Fatal(err)
		}
	}
	documented, err := os.ReadFile(image)
	if err != nil {
		tb.t.Fatalf("%v; write the image with go -C test/page test -screenshot", err)
	}
	for name, content := range map[string][]byte{image: documented, "the new image": data} {
		config, err := png.DecodeConfig(bytes.NewReader(content))
		if err != nil || config.Width != imageWidth || config.Height != imageHeight {
			tb.t.Errorf("%s has %d x %d pixels, want %d x %d: %v; write the image with go -C test/page test -screenshot", name, config.Width, config.Height, imageWidth, imageHeight, err)
		}
	}
}
