// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package guides

import (
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// document is a page of the site.
type document struct {
	anchors map[string]bool
	links   []string // the targets of links
	menu    []string // the targets of links in the navigation
	loads   []string // the addresses of scripts, styles, images and other parts
	policy  string   // the Content-Security-Policy
	text    []string // of paragraphs
	// generator has the names and versions of the programs that built the page.
	generator string
}

// parseSite returns the pages of the site, by their paths.
func parseSite(t *testing.T, dir string) map[string]*document {
	t.Helper()
	pages := map[string]*document{}
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".html" || filepath.Base(name) == "404.html" { // 404.html has absolute paths
			return err
		}
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		root, err := html.Parse(file)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		pages[filepath.ToSlash(relative)] = parseDocument(root)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func parseDocument(root *html.Node) *document {
	d := &document{anchors: map[string]bool{"": true}}
	for node := range root.Descendants() {
		if node.Type != html.ElementNode {
			continue
		}
		attributes := map[string]string{}
		for _, a := range node.Attr {
			attributes[a.Key] = a.Val
		}
		d.anchors[attributes["id"]] = true
		switch node.Data {
		case "a":
			if target, ok := attributes["href"]; ok {
				d.links = append(d.links, target)
				if inMenu(node) {
					d.menu = append(d.menu, target)
				}
			}
		case "link":
			if relation := attributes["rel"]; relation != "canonical" && relation != "prev" && relation != "next" {
				d.loads = append(d.loads, attributes["href"])
			}
		case "meta":
			if attributes["name"] == "generator" {
				d.generator = attributes["content"]
			}
			if attributes["http-equiv"] == "Content-Security-Policy" {
				d.policy = attributes["content"]
			}
		case "p":
			d.text = append(d.text, text(node))
		}
		for _, name := range []string{"src", "srcset", "data", "poster", "background"} {
			if address, ok := attributes[name]; ok {
				d.loads = append(d.loads, address)
			}
		}
	}
	return d
}

// inMenu reports whether a link belongs to the navigation, and not to the text of the page.
func inMenu(link *html.Node) bool {
	for node := range link.Ancestors() {
		for _, a := range node.Attr {
			if node.Data == "nav" && a.Key == "class" && strings.Contains(a.Val, "md-nav") {
				return true
			}
		}
	}
	return false
}

func text(node *html.Node) string {
	var b strings.Builder
	for child := range node.Descendants() {
		if child.Type == html.TextNode {
			b.WriteString(child.Data)
		}
	}
	return b.String()
}

// resolve returns the file and the anchor that a relative link of a page leads to.
func resolve(page, target string) (file, anchor string, err error) {
	parsed, err := url.Parse(target)
	if err != nil {
		return "", "", err
	}
	file = page
	if parsed.Path != "" {
		file = path.Join(path.Dir(page), parsed.Path)
		if strings.HasSuffix(parsed.Path, "/") || path.Base(parsed.Path) == "." || path.Base(parsed.Path) == ".." {
			file = path.Join(file, "index.html")
		}
	}
	return file, parsed.Fragment, nil
}
