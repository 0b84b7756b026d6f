// Everything that can be learned from as one menu: data sets, projects and runs with pictures. Takes words, made, fill and whole from the
// files it is read with.

let sets = { datasets: [], projects: [], runs: [] };

// As options; what was chosen before and is not listed any more stands last.
function menu_of_data(none, chosen, label) {
  const groups = [["datasets", words.of_folders], ["projects", words.of_projects], ["runs", words.of_runs]].filter(([name]) => sets[name].length);
  const text = (one) => (one.count === undefined ? one.label : fill(words.with_count, { label: one.label, n: whole(one.count) }));
  const known = groups.flatMap(([name]) => sets[name]).some((one) => one.id === chosen), options = [made("option", { value: "" }, none)];
  for (const [name, label_of] of groups) options.push(made("optgroup", { label: label_of }, ...sets[name].map((one) => made("option", { value: one.id }, text(one)))));
  if (chosen && !known) options.push(made("option", { value: chosen }, label || chosen));
  return options;
}
