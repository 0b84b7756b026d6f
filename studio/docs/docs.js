// Renders /openapi.json. Everything is set as text, never as markup.
"use strict";

const make = (tag, text = "", cls = "") => {
  const element = document.createElement(tag);
  element.textContent = text;
  if (cls) element.className = cls;
  return element;
};

const refName = (ref) => ref.split("/").pop();

const link = (name) => {
  const anchor = make("a", name);
  anchor.href = `#schema-${name}`;
  return anchor;
};

// "number or empty", "list of Region", "one of \"rle\", \"polygon\""; names of schemas become links.
const typeOf = (schema) => {
  const span = make("span");
  const put = (...parts) => { for (const part of parts) span.append(part); return span; };
  if (schema.$ref) return put(link(refName(schema.$ref)));
  if (schema.const !== undefined) return put(JSON.stringify(schema.const));
  if (schema.enum) return put("one of ", schema.enum.map((value) => JSON.stringify(value)).join(", "));
  const choices = schema.anyOf || schema.oneOf || schema.allOf;
  if (choices) {
    choices.forEach((choice, index) => put(index ? " or " : "", typeOf(choice)));
    return span;
  }
  if (schema.type === "array") return put("list of ", typeOf(schema.items || {}));
  if (schema.properties) return put("form with ", Object.keys(schema.properties).join(", "));
  if (schema.type === "object" && typeof schema.additionalProperties === "object") return put("table of ", typeOf(schema.additionalProperties));
  return put({ null: "empty", object: "table", integer: "whole number", string: "text", boolean: "true or false" }[schema.type] || schema.type || "anything");
};

const BOUNDS = [["minimum", "≥ "], ["exclusiveMinimum", "> "], ["maximum", "≤ "], ["exclusiveMaximum", "< "],
  ["minLength", "length ≥ "], ["maxLength", "length ≤ "], ["minItems", "items ≥ "], ["maxItems", "items ≤ "], ["pattern", "like "]];

const boundsOf = (schema) => {
  const parts = [schema, ...(schema.anyOf || [])];
  return BOUNDS.flatMap(([key, sign]) => parts.filter((part) => part[key] !== undefined).map((part) => sign + part[key])).join(", ");
};

const table = (heads, rows) => {
  const element = make("table");
  const head = element.createTHead().insertRow();
  for (const text of heads) head.append(make("th", text));
  const body = element.createTBody();
  for (const cells of rows) {
    const row = body.insertRow();
    for (const cell of cells) row.insertCell().append(cell);
  }
  return element;
};

const fold = (id, marks, what) => {
  const element = make("details");
  element.id = id;
  const summary = make("summary");
  for (const mark of marks) summary.append(mark);
  summary.append(make("span", what, "what"));
  const body = make("div", "", "body");
  element.append(summary, body);
  return [element, body];
};

const defaultOf = (schema) => make("code", schema.default === undefined ? "" : JSON.stringify(schema.default));

const curl = (method, path, operation) => {
  const types = Object.keys(operation.requestBody?.content || {});
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${location.origin}${path}'`];
  if (types.includes("multipart/form-data")) lines.push("-F file=@part.png");
  else if (types.includes("application/json")) lines.push("-H 'Content-Type: application/json' -d @request.json");
  return lines.join(" \\\n     ");
};

const operationOf = (path, method, operation) => {
  const [element, body] = fold(`${method}${path}`, [make("code", method.toUpperCase(), "method"), make("code", path)], operation.summary || "");
  if (operation.description) body.append(make("p", operation.description));
  body.append(make("pre", curl(method, path, operation)));
  if (operation.parameters?.length) {
    body.append(table(["parameter", "in", "type", "default", "meaning"], operation.parameters.map((one) =>
      [make("code", one.name), one.in, typeOf(one.schema), defaultOf(one.schema), [boundsOf(one.schema), one.description].filter(Boolean).join("; ")])));
  }
  for (const [type, content] of Object.entries(operation.requestBody?.content || {})) {
    const line = make("p", `body (${type}): `);
    line.append(typeOf(content.schema || {}));
    body.append(line);
  }
  body.append(table(["answer", "meaning"], Object.entries(operation.responses || {}).map(([code, answer]) => [make("code", code), answer.description || ""])));
  return element;
};

const schemaOf = (name, schema) => {
  const [element, body] = fold(`schema-${name}`, [make("code", name)], schema.description || "");
  const required = new Set(schema.required || []);
  body.append(table(["field", "type", "default", "bounds", "meaning"], Object.entries(schema.properties || {}).map(([field, value]) =>
    [make("code", field), typeOf(value), required.has(field) ? "must be given" : defaultOf(value), boundsOf(value), value.description || ""])));
  return element;
};

const openTarget = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) { target.open = true; target.scrollIntoView(); }
};

const main = document.getElementById("main");

fetch("/openapi.json").then((answer) => answer.json()).then((api) => {
  main.append(make("h2", "Routes"));
  for (const [path, methods] of Object.entries(api.paths))
    for (const [method, operation] of Object.entries(methods)) main.append(operationOf(path, method, operation));
  main.append(make("h2", "Requests and answers"));
  for (const [name, schema] of Object.entries(api.components?.schemas || {})) main.append(schemaOf(name, schema));
  window.addEventListener("hashchange", openTarget);
  openTarget();
}).catch((error) => {
  main.append(make("p", `/openapi.json could not be read (${error.message}). Is the server still running? Reload to try again.`, "failure"));
}).finally(() => main.setAttribute("aria-busy", "false"));
