// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import "html"

// node is a piece of HTML. It escapes all text and all values of attributes, so that names, URLs and
// error texts add no elements. Package html/template would do the same, but it makes the linker keep
// all exported methods of the program.
type node interface {
	appendTo(b []byte) []byte
}

// text is the text of an element.
type text string

func (t text) appendTo(b []byte) []byte { return append(b, html.EscapeString(string(t))...) }

// element is an element with its attributes and children. Its name and the names of its attributes
// are constants of this package.
type element struct {
	name       string
	attributes []attribute
	children   []node
}

type attribute struct{ name, value string }

// el returns an element with these children.
func el(name string, children ...node) *element { return &element{name: name, children: children} }

// txt returns an element that contains a text.
func txt(name, content string) *element { return el(name, text(content)) }

// set sets an attribute.
func (e *element) set(name, value string) *element {
	e.attributes = append(e.attributes, attribute{name, value})
	return e
}

// class sets the class of the element.
func (e *element) class(names string) *element { return e.set("class", names) }

// add adds children.
func (e *element) add(children ...node) *element {
	e.children = append(e.children, children...)
	return e
}

// void are the elements that have no end tag.
var void = map[string]bool{"input": true, "link": true, "meta": true}

func (e *element) appendTo(b []byte) []byte {
	b = append(append(b, '<'), e.name...)
	for _, a := range e.attributes {
		b = append(append(b, ' '), a.name...)
		b = append(append(append(b, `="`...), html.EscapeString(a.value)...), '"')
	}
	b = append(b, '>')
	if void[e.name] {
		return b
	}
	for _, child := range e.children {
		b = child.appendTo(b)
	}
	return append(append(append(b, "</"...), e.name...), '>')
}

// foreign returns a text that other programs or people have chosen. Characters in it that reverse the
// direction of writing do not affect the text around it.
func foreign(content string) *element { return txt("bdi", content) }

// table is a table with headings for its columns. On narrow screens each row is a list, in which each
// cell has the heading of its column.
type table struct {
	caption string
	columns []string
	body    *element
}

func newTable(caption string, columns ...string) *table {
	return &table{caption: caption, columns: columns, body: el("tbody")}
}

// row adds a row. The first cell is the heading of the row. id identifies the row when the page is
// updated; it may be empty.
func (t *table) row(id string, cells ...node) {
	row := el("tr")
	if id != "" {
		row.set("id", id)
	}
	for i, content := range cells {
		cell := el("td", content)
		if i == 0 {
			cell = el("th", content).set("scope", "row")
		}
		row.add(cell.set("data-column", t.columns[i]))
	}
	t.body.add(row)
}

func (t *table) appendTo(b []byte) []byte {
	head := el("tr")
	for _, c := range t.columns {
		head.add(txt("th", c).set("scope", "col"))
	}
	return el("table", txt("caption", t.caption), el("thead", head), t.body).appendTo(b)
}
