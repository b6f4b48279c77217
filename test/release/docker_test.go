// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// imagesVariable is the environment variable with the directory for the images that [runDocker] builds.
const imagesVariable = "RELEASE_TEST_IMAGES"

// An image is the result of [runDocker]. Its files are in the directory files.
type image struct {
	From       string
	Platform   string
	Tags       []string
	User       string
	Entrypoint []string
	Labels     map[string]string
}

// runDocker carries out `docker buildx build` for one platform, with the instructions that
// Dockerfile.release has. goreleaser also asks for the version and the builder.
func runDocker(args []string) error {
	if len(args) < 2 || args[0] != "buildx" || args[1] != "build" {
		fmt.Println("Driver: docker-container")
		return nil
	}
	img := image{Labels: map[string]string{}}
	idFile, buildContext := "", ""
	for i := 2; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		next := func() string {
			if !joined {
				i++
				value = args[i]
			}
			return value
		}
		switch {
		case name == "--platform":
			img.Platform = next()
		case name == "-t":
			img.Tags = append(img.Tags, next())
		case name == "--iidfile":
			idFile = next()
		case name == "--label":
			key, text, _ := strings.Cut(next(), "=")
			img.Labels[key] = text
		case name == "--annotation", name == "--build-arg":
			next()
		case name == "--load":
		case strings.HasPrefix(name, "-"):
			return fmt.Errorf("this program does not know the flag %s", name)
		default:
			buildContext = args[i]
		}
	}
	if strings.Contains(img.Platform, ",") || buildContext == "" || idFile == "" {
		return fmt.Errorf("this program builds one platform, with a context and a file for the digest: %q", args)
	}
	dir := filepath.Join(os.Getenv(imagesVariable), strings.ReplaceAll(img.Platform, "/", "-"))
	if err := img.carryOut(buildContext, filepath.Join(dir, "files")); err != nil {
		return err
	}
	data, err := json.Marshal(img)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "image.json"), data, 0o600); err != nil {
		return err
	}
	return os.WriteFile(idFile, []byte("sha256:"+strings.Repeat("0", 64)), 0o600)
}

// carryOut carries out the Dockerfile of a context, and writes the files of the image.
func (img *image) carryOut(buildContext, files string) error {
	dockerfile, err := os.ReadFile(filepath.Join(buildContext, "Dockerfile"))
	if err != nil {
		return err
	}
	arguments := map[string]bool{}
	for line := range strings.Lines(string(dockerfile)) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		switch words[0] {
		case "FROM":
			img.From = words[1]
		case "ARG":
			arguments[words[1]] = true
		case "USER":
			img.User = words[1]
		case "ENTRYPOINT":
			if err := json.Unmarshal([]byte(strings.TrimPrefix(strings.TrimSpace(line), "ENTRYPOINT ")), &img.Entrypoint); err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
		case "COPY":
			if !arguments["TARGETPLATFORM"] {
				return fmt.Errorf("%s is not after ARG TARGETPLATFORM", line)
			}
			to := words[len(words)-1]
			for _, from := range slices.Clone(words[1 : len(words)-1]) {
				from = strings.ReplaceAll(from, "$TARGETPLATFORM", img.Platform)
				if err := copyFile(filepath.Join(buildContext, from), filepath.Join(files, to, filepath.Base(from))); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("this program does not know the instruction %q", line)
		}
	}
	return nil
}

// copyFile copies a file with its mode.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}
