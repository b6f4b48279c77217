// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// container are the settings of the container of the page.
type container struct {
	image, entrypoint string
	arguments         []string
	user              string
	readOnly          bool
	dropped, security []string // capabilities, and security options
	restart           string
	stopSeconds       string
	ports             []string
	volumes           []volume
}

// volume is a directory of the machine in the container.
type volume struct {
	source, target string
	readOnly       bool
}

func (c *container) equal(other *container) bool { return reflect.DeepEqual(c, other) }

func parseVolume(text string) volume {
	parts := strings.Split(text, ":")
	return volume{parts[0], parts[1], len(parts) > 2 && parts[2] == "ro"}
}

// block returns the first code block of the page that contains a text.
func block(t *testing.T, page, language, contains string) string {
	t.Helper()
	for _, m := range regexp.MustCompile("(?ms)^( *)```"+language+"\n(.*?)^ *```$").FindAllStringSubmatch(page, -1) {
		if strings.Contains(m[2], contains) {
			return strings.ReplaceAll("\n"+m[2], "\n"+m[1], "\n")[1:]
		}
	}
	t.Fatalf("the page has no block with %q", contains)
	return ""
}

// dockerRun returns the container of the command `docker run` of the page.
func dockerRun(t *testing.T) *container {
	t.Helper()
	text := block(t, read(t, "docs/guides/edge.md"), "sh", "docker run")
	_, text, _ = strings.Cut(strings.ReplaceAll(text, "\\\n", " "), "docker run ")
	c := &container{}
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		next := func() string { i++; return words[i] }
		switch words[i] {
		case "--detach":
		case "--name":
			next()
		case "--restart":
			c.restart = next()
		case "--stop-timeout":
			c.stopSeconds = next()
		case "--read-only":
			c.readOnly = true
		case "--user":
			c.user = next()
		case "--cap-drop":
			c.dropped = append(c.dropped, next())
		case "--security-opt":
			c.security = append(c.security, next())
		case "--publish":
			c.ports = append(c.ports, next())
		case "--volume":
			c.volumes = append(c.volumes, parseVolume(next()))
		case "--entrypoint":
			c.entrypoint = next()
		default:
			if strings.HasPrefix(words[i], "-") {
				t.Fatalf("this test does not know the option %s of docker run", words[i])
			}
			c.image, c.arguments = words[i], words[i+1:]
			return c
		}
	}
	t.Fatal("the command names no image")
	return nil
}

// composeFile returns the container of compose.yaml.
func composeFile(t *testing.T) *container {
	t.Helper()
	var file struct {
		Services map[string]struct {
			Image           string   `json:"image"`
			Entrypoint      []string `json:"entrypoint"`
			Command         []string `json:"command"`
			User            string   `json:"user"`
			ReadOnly        bool     `json:"read_only"`
			CapDrop         []string `json:"cap_drop"`
			SecurityOpt     []string `json:"security_opt"`
			Restart         string   `json:"restart"`
			StopGracePeriod string   `json:"stop_grace_period"`
			Ports           []string `json:"ports"`
			Volumes         []string `json:"volumes"`
		} `json:"services"`
	}
	must(t, yaml.UnmarshalStrict([]byte(read(t, "config/edge/compose.yaml")), &file))
	s, ok := file.Services["mqttbridge"]
	if !ok || len(file.Services) != 1 || len(s.Entrypoint) != 1 {
		t.Fatalf("compose.yaml has the services %+v, want mqttbridge with one word as its entrypoint", file.Services)
	}
	c := &container{
		image: s.Image, entrypoint: s.Entrypoint[0], arguments: s.Command, user: s.User, readOnly: s.ReadOnly,
		dropped: s.CapDrop, security: s.SecurityOpt, restart: s.Restart,
		stopSeconds: strings.TrimSuffix(s.StopGracePeriod, "s"), ports: s.Ports,
	}
	for _, v := range s.Volumes {
		c.volumes = append(c.volumes, parseVolume(v))
	}
	return c
}
