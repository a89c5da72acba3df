use super::scene::Scene;
#[test]
fn dump() {
    for flow in std::fs::read_to_string("/tmp/conf_flows.txt").unwrap().split("=== ").skip(1) {
        let (name, script) = flow.split_once('\n').unwrap();
        println!("=== {name}\n{}", Scene::run(script).transcript);
    }
}
