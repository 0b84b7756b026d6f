// What the parts of the Data tab share: where they are drawn, and the project that is open.

const root = element.querySelector(".shf"), find = (selector) => root.querySelector(selector);
let project = null; // as the server tells it, without its pictures
let choices = 0; // how often a project was chosen here; an answer to an older question does not undo a choice
