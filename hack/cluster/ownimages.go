package main

import (
	"context"
	"path/filepath"
	"regexp"
)

// unprivilegedUser is numeric, as the restricted Pod Security profile requires: the kubelet cannot
// verify that a named user is not root.
const unprivilegedUser = "65532"

// sandboxImage returns the image whose container holds the namespaces of each pod.
func sandboxImage(bin string) imageSpec {
	return imageSpec{
		name:       pauseImage,
		files:      []imageFile{{source: filepath.Join(bin, "pause"), target: "/pause", mode: 0o755}},
		entrypoint: []string{"/pause"},
		user:       unprivilegedUser,
	}
}

// upstreamVersion matches every Debian version, because each begins with a digit.
var upstreamVersion = regexp.MustCompile(`^(?:\d+:)?([0-9.]+)`)

// brokerImage returns an image of Debian's Mosquitto with its command line clients, tagged with the
// upstream version. The pod mounts its configuration.
func brokerImage(ctx context.Context) (imageSpec, error) {
	version, err := packageVersion(ctx, "mosquitto")
	if err != nil {
		return imageSpec{}, err
	}
	programs := []string{"/usr/sbin/mosquitto", "/usr/bin/mosquitto_pub", "/usr/bin/mosquitto_sub", "/usr/bin/mosquitto_passwd"}
	files, err := debianFiles(ctx, programs)
	if err != nil {
		return imageSpec{}, err
	}
	return imageSpec{
		name:       "localhost/mqttbridge/mosquitto:" + upstreamVersion.FindStringSubmatch(version)[1],
		files:      files,
		entrypoint: []string{"/usr/sbin/mosquitto", "-c", "/etc/mosquitto/mosquitto.conf"},
		user:       unprivilegedUser,
	}, nil
}
